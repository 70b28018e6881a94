import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { defaultAuthOptions } from '../../src/auth/options.ts'
import { Tokens } from '../../src/auth/tokens.ts'
import { parseConfig } from '../../src/config/config.ts'
import { cleanUp, folder } from '../server/server.ts'
import { Cli } from './cli.ts'

afterEach(cleanUp)

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

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })

test.each([
  ['RS256', rsa, 'PEM', []],
  ['PS256', rsa, 'JWK', ['--alg', 'PS256']],
  ['ES256', ec('P-256'), 'PEM', ['--alg', 'ES256']],
  ['ES384', ec('P-384'), 'JWK', ['--alg', 'ES384']],
  ['ES512', ec('P-521'), 'PEM', ['--alg', 'ES512']],
  ['EdDSA', generateKeyPairSync('ed25519'), 'JWK', ['--alg', 'EdDSA']],
] as const)('token --key makes a token that the hub of its key takes: %s', async (alg, pair, format, flags) => {
  const file = join(folder(), 'key')
  const jwk = () => JSON.stringify(pair.privateKey.export({ format: 'jwk' }))
  writeFileSync(file, format === 'JWK' ? jwk() : pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const names = [
    '--sub',
    'ann',
    '--jti',
    't-1',
    '--issuer',
    'login.example',
    '--audience',
    'hub.example',
    '--ttl',
    '90s',
  ]
  const { text } = await make('token', '--key', file, ...flags, '--subscribe', 'chat/*', ...names)
  expect(JSON.parse(`${Buffer.from(text.split('.')[0]!, 'base64url')}`)).toEqual({ alg })
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string
  const isTakenWith = (options: { issuer?: string; audience?: string }) =>
    new Tokens({ ...defaultAuthOptions, publicKey, ...options }).verify(text)
  const { issuedAt, expiresAt, ...grant } = await isTakenWith({ issuer: 'login.example', audience: 'hub.example' })
  expect([grant, expiresAt! - issuedAt!]).toMatchObject([
    { subject: 'ann', id: 't-1', publish: [], subscribe: ['chat/*'] },
    90_000,
  ])
  await expect(isTakenWith({ issuer: 'other.example' })).rejects.toThrow('iss')
  await expect(isTakenWith({ audience: 'other.example' })).rejects.toThrow('aud')
})

test.each([
  ['of another kind', rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }), 'expected a private key for ES256'],
  [
    'that is public',
    JSON.stringify(ec('P-256').publicKey.export({ format: 'jwk' })),
    'expected a private key for ES256',
  ],
  ['that is no key', '{"kty":"hunter2"}', 'expected a private key for ES256'],
  ['that is nowhere', undefined, 'ENOENT'],
])('token refuses a key %s, and shows no part of it', async (_, text, why) => {
  const file = join(folder(), 'key')
  if (text !== undefined) writeFileSync(file, text)
  expect(await make('token', '--key', file, '--alg', 'ES256')).toEqual({
    status: 2,
    text: '',
    stderr: expect.stringMatching(
      new RegExp(`^Cannot sign with --key ${file}: ${why}.*\nHelp: tidings token --help\n$`),
    ),
  })
})
