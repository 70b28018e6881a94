import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { Cli, withoutTerminal } from './cli.ts'

const ESC = '\x1b'
let hub: Server

beforeAll(async () => {
  hub = await start()
})
afterAll(cleanUp)

describe.skipIf(withoutTerminal)(`in a terminal${withoutTerminal && ` (skipped: ${withoutTerminal})`}`, () => {
  const cli = new Cli('Node')
  const run = (script: string, env = {}, cwd = '.') =>
    cli.shell(script, { isTerminal: true, env: { TIDINGS_URL: hub.url, ...env }, cwd }).stdout.replaceAll('\r\n', '\n')

  test('topics have a title and tail has colours; with NO_COLOR none, and through a pipe neither', () => {
    const send = "tidings send 'colour/a' one --close > /dev/null"
    expect(run(`${send}; tidings send colour/b two --close > /dev/null; tidings topics`)).toMatch(
      /KEPT +READERS[\s\S]*colour\/a/,
    )
    expect(run('tidings tail colour/a colour/b --last 2')).toContain(`${ESC}[36mcolour/a${ESC}[39m\tone`)
    expect(run('tidings tail colour/a colour/b --last 2', { NO_COLOR: '1' })).not.toContain(`${ESC}[`)
    expect(run('tidings tail colour/a colour/b --last 2 2>/dev/null | cat')).toBe('colour/a\tone\ncolour/b\ttwo\n')
  })

  test('what others published cannot move the cursor', () => {
    expect(
      run(
        `tidings send evil "$(printf 'a\\033[2Jb\\tc')" --close > /dev/null; NO_COLOR=1 tidings tail evil --from earliest`,
      ),
    ).toContain('a\\x1b[2Jb\tc\n')
  })

  test('a stream on stdin shows its progress only there', () => {
    const script = `seq 3 | sed 's/.*/{"data":&}/' | tidings send progress --ndjson`
    expect(run(script)).toContain(`\r${ESC}[KSent 33 bytes`)
    expect(run(`${script} 2>&1 | cat`)).toBe('3\n')
  })

  test('backup and restore show their progress only there, and remove it also if they fail', async () => {
    const cwd = folder()
    const LOG = `sqlite:${cwd}/hub.db`
    await (await start({ LOG })).kill('SIGTERM')
    const shown = (script: string) =>
      run(script, { LOG }, cwd)
        .replaceAll(`\r${ESC}[K`, '<')
        .replace(/[\d.]+ KiB/g, 'N KiB')
    expect(shown('tidings backup b.db')).toMatch(/^<Copied 0 bytes of N KiB<(Copied .* of N KiB<)*\w{10}-0\n$/)
    expect(shown('tidings restore b.db')).toMatch(/^<Copied N KiB of N KiB<\/.*\n$/)
    expect(shown('ulimit -f 20; tidings restore b.db')).toMatch(/^<Copied N KiB of N KiB<Cannot copy .*: EFBIG.*\n$/)
    const piped = shown('tidings backup c.db 2>&1 | cat; tidings restore c.db 2>&1 | cat')
    expect(piped).toMatch(/^\w{10}-0\n\/.*\n$/)
  })

  test.each([
    ['INT', 130],
    ['TERM', 143],
  ])('SIG%s ends tail with %d', (signal, exit) => {
    const begun = `until [ -s out ]; do sleep 0.1; done; kill -${signal} $!`
    const output = run(
      `tidings send bye one > /dev/null; ${cli.words} tail bye --last 1 > out & ${begun}; wait $!; echo "exit $?"`,
      {},
      folder(),
    )
    expect(output).toContain(`exit ${exit}`)
  })
})
