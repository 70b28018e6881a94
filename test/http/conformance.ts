import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'

const help = `Runs the HTTP suite against a running hub. Nobody else may use the hub meanwhile.

  npm run conformance -- https://hub.example

  --yes     do not ask before the first request
  --help

The hub has to be open (no keys), with its default limits. The suite publishes to about 80 topics that begin with
"suite-", sets the message of the demo, and opens up to 100 streams at a time; it takes about a minute. At the end it deletes these
topics and sets the message back. Ids that it used stay used.
`

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { yes: { type: 'boolean' }, help: { type: 'boolean' } },
  })
  if (values.help) process.stdout.write(help)
  else process.exitCode = await run(hubOf(positionals), values.yes ?? false)
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${help}`)
  process.exitCode = 2
}

function hubOf([url, ...more]: readonly string[]): string {
  if (url !== undefined && more.length === 0 && URL.canParse(url)) return url.replace(/\/$/, '')
  throw new Error(`Cannot test ${url ?? 'nothing'}: give the URL of one hub, as in http://localhost:3000`)
}

/** Runs the suite and resolves with its exit code. */
async function run(hub: string, isConfirmed: boolean): Promise<number> {
  const plan = `Tests ${hub}: publishes to about 80 topics that begin with "suite-", sets the message of the demo, and at the end deletes these topics and sets the message back.`
  console.log(plan)
  if (!isConfirmed && !(await confirm())) return 2
  const root = join(import.meta.dirname, '..', '..')
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const args = [vitest, 'run', '--config', 'test/vitest.config.ts', '--reporter', 'verbose', 'test/http/url.test.ts']
  const env = { ...process.env, HUB_URL: hub }
  const [code] = await once(spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' }), 'exit')
  return code ?? 1
}

async function confirm(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    console.error('Nothing was sent: add --yes to go on where nobody can answer')
    return false
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await terminal.question('Go on? [y/N] ')
  terminal.close()
  return /^y(es)?$/i.test(answer.trim())
}
