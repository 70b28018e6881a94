import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { cleanUp, folder, freePort } from '../server/server.ts'
import { Cli } from './cli.ts'

afterEach(cleanUp)

const LISTENS = /^Tidings listens on http:\/\/\S+:(\d+) \((.*)\); log (\S+), durability (\w+)$/m
const SECRET = 'a secret of at least 32 bytes, for tests only'

describe.each(part(['Node'], ['Bun', 'Deno']))('tidings serve on %s', (runtime) => {
  const cli = new Cli(runtime)
  const save = (text: string) => {
    const path = join(folder(), 'hub.env')
    writeFileSync(path, text)
    return path
  }

  test('takes each setting from a flag, a variable or a file: flags win over variables, and variables over the file', async () => {
    const [fromFlag, fromVariable, fromFile] = [await freePort(), await freePort(), await freePort()]
    const config = save(`# a comment, don't stop\nexport PORT=${fromFile}\nLOG="memory:" # kept\nRETRY='7s'\n\n`)
    const cases = [
      [[], {}, fromFile],
      [[], { PORT: `${fromVariable}`, RETRY: '' }, fromVariable],
      [['--port', `${fromFlag}`], { PORT: `${fromVariable}` }, fromFlag],
    ] as const
    for (const [flags, env, port] of cases) {
      const hub = cli.start(['--config', config, ...flags], env)
      expect((await hub.says(LISTENS)).slice(1)).toEqual([`${port}`, 'open to this machine only', 'memory:', 'memory'])
      const { body } = await fetch(`http://127.0.0.1:${port}/event?topic=a`)
      const { value } = await body!.getReader().read()
      expect(new TextDecoder().decode(value)).toContain('retry: 7000')
      expect(await hub.kill('SIGTERM')).toBe(0)
    }
  })

  test('a secret of a flag that names a file wins over a secret in the environment', async () => {
    const path = save(`${SECRET}\n`)
    const hub = cli.start(['serve', '--log', 'memory:', '--port', '0', '--auth-secret-file', path], {
      AUTH_SECRET: 'another secret of at least 32 bytes, not this one',
    })
    const [, port] = await hub.says(LISTENS)
    const { stdout } = await cli.run(['token', '--subscribe', '**'], { env: { AUTH_SECRET: SECRET } })
    const env = { TIDINGS_URL: `http://127.0.0.1:${port}`, TIDINGS_TOKEN: stdout }
    expect(await cli.run(['topics'], { env })).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test.each([
    ['HOTS=::1', /^Cannot use "HOTS" in \S+: expected HOST$/m],
    ['auth_secret=x', /^Cannot use "auth_secret" in \S+: expected AUTH_SECRET$/m],
    [`A=\nAUTH_SECRET: ${SECRET}`, /^Cannot read line 2 of \S+: expected NAME=value$/m],
    [`# one\n\n\n# two\nAUTH_SECRET: ${SECRET}`, /^Cannot read line 5 of \S+: expected NAME=value$/m],
    ['PORT=99999', /^Cannot start: a setting is wrong\n {2}PORT="99999": expected a whole number/],
    [
      `OPEN=true\nAUTH_SECRET=${SECRET}`,
      /^Cannot start: a setting is wrong\n {2}OPEN="true": expected false with keys/,
    ],
  ])('refuses a file with the line %s', async (text, message) => {
    const { status, stderr } = await cli.run(['serve', '--config', save(text)])
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)])
    expect(stderr).not.toContain(SECRET)
  })

  test('exits with 1 if the address is taken', async () => {
    const first = cli.start(['--port', '0', '--log', 'memory:'])
    const [, port] = await first.says(LISTENS)
    const { status, stderr } = await cli.run(['--port', port!, '--log', 'memory:'])
    expect([status, stderr]).toEqual([1, expect.stringContaining(`Cannot listen on 127.0.0.1 port ${port}`)])
  })
})
