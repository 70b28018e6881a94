import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { portable, servers } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'

/** `requests` is installed, or pip brings its own. */
const IMPORT = `
try: import requests
except ImportError: from pip._vendor import requests
`
/** `iter_lines` reads 512 bytes at a time, and `urllib3` returns what a chunk holds as soon as it is there. */
const READ = `${IMPORT}
import sys, time
response = requests.get(sys.argv[1], stream=True, timeout=10)
for line in response.iter_lines():
    if line == b'data: last': break
    if line.startswith(b'event: hub.open'): print('open', flush=True)
`
const why = missing()

afterEach(cleanUp)

test.skipIf(why).each([...servers, portable.node])(
  `over $name, Python's requests, which reads a fixed number of bytes, gets each event at once${why && ` (${why})`}`,
  async (runtime) => {
    const { url, readers } = await start({}, runtime)
    const reading = promisify(execFile)('python3', ['-c', READ, `${url}/event?topic=a`], { timeout: 15_000 })
    await expect.poll(readers).toBe(1)
    const headers = { 'content-type': 'text/plain' }
    await fetch(`${url}/send?topic=a`, { method: 'POST', headers, body: 'last' })
    expect((await reading).stdout).toBe('open\n')
  },
)

/** Why the test cannot run; '' if it can. */
function missing(): string {
  try {
    execFileSync('python3', ['-c', IMPORT], { stdio: 'ignore' })
    return ''
  } catch {
    return 'needs python3 with requests or pip'
  }
}
