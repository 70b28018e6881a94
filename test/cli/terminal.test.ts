import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cleanUp, type Server, start } from '../server/server.ts'
import { Cli, withoutTerminal } from './cli.ts'

const ESC = '\x1b'
let hub: Server

beforeAll(async () => {
  hub = await start()
})
afterAll(cleanUp)

describe.skipIf(withoutTerminal)(`in a terminal${withoutTerminal && ` (skipped: ${withoutTerminal})`}`, () => {
  const cli = new Cli('Node')
  const run = (script: string, env = {}) =>
    cli.shell(script, { isTerminal: true, env: { TIDINGS_URL: hub.url, ...env } }).stdout.replaceAll('\r\n', '\n')

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

  test('Ctrl-C ends tail with 130', () => {
    const output = run(`(sleep 1.5; kill -INT $(pgrep -P $$ -f 'tail quiet')) & tidings tail quiet; echo "exit $?"`)
    expect(output).toContain('exit 130')
  })
})
