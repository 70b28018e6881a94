import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** `npm run conformance -- https://…` runs the http suite against a running hub, which nobody else may use meanwhile. */
const [url] = process.argv.slice(2)
if (!url || !URL.canParse(url)) {
  console.error(
    `Cannot test ${url ?? 'nothing'}: give the hub's URL, as in npm run conformance -- http://localhost:3000`,
  )
  process.exit(2)
}
const root = join(import.meta.dirname, '..', '..')
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const args = [vitest, 'run', '--config', 'test/vitest.config.ts', '--reporter', 'verbose', 'test/http/url.test.ts']
const env = { ...process.env, HUB_URL: url.replace(/\/$/, '') }
const [code] = await once(spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' }), 'exit')
process.exit(code ?? 1)
