import { expect, test } from 'vitest'
import { defaultAuthOptions } from '../../src/auth/options.ts'
import { Tokens } from '../../src/auth/tokens.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Cli } from './cli.ts'

const cli = new Cli('Node')
const AUTH_SECRET = 'a secret of at least 32 bytes, which all hubs share'
/** Makes a credential with these arguments, as the hub gets it. */
const make = async (...args: string[]) => {
  const { status, stdout, stderr } = await cli.run(args, { env: { AUTH_SECRET } })
  return { status, text: stdout.trimEnd(), stderr }
}
/** What one of the hubs that share a secret says of a token. */
const isTakenBy = (name: string, token: string) =>
  new Tokens({ ...defaultAuthOptions, secret: AUTH_SECRET, hub: { name, isRequired: true } }).verify(token).then(
    ({ publish }) => publish,
    (cause: Error) => cause.message,
  )

test('token --hub makes a token that the hub of this name takes, and no other', async () => {
  const { text } = await make('token', '--publish', 'a', '--hub', 'acme.example')
  expect(await isTakenBy('acme.example', text)).toEqual(['a'])
  expect(await isTakenBy('other.example', text)).toBe('Cannot accept this token: it is for another hub')
})

test('token without --hub names no hub', async () => {
  const { text } = await make('token', '--publish', 'a')
  expect(await isTakenBy('acme', text)).toBe('Cannot accept this token: it names no hub (claim tidings.hub)')
})

test.each([['key', 'ci'] as const, ['token', '--api-key', 'ci'] as const])(
  '%s %s --hub makes an API key for the hub of this name',
  async (...args) => {
    const { text } = await make(...args, '--publish', 'deploys/*', '--hub', 'acme')
    const [, line = ''] = /^line: (.*)$/m.exec(text)!
    expect(parseConfig({ API_KEYS: line }).auth.apiKeys).toMatchObject([
      { name: 'ci', publish: ['deploys/*'], subscribe: [], hub: 'acme' },
    ])
  },
)

test.each([['token'], ['key', 'ci']])('%s refuses a name that no hub can have', async (...args) => {
  for (const name of ['Acme', 'a b', 'a:b', '-a'])
    expect(await make(...args, `--hub=${name}`)).toEqual({
      status: 2,
      text: '',
      stderr: expect.stringContaining(`Cannot use ${name} as --hub: expected lower-case letters, digits, . and -\n`),
    })
})
