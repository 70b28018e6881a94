/**
 * Makes the picture of the README: `node test/browser/picture.ts`. A hub runs, curl publishes, and the page shows it; the picture has the
 * output of curl beside a screenshot of the page.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { cleanUp, start } from '../server/server.ts'
import { chromium } from './chromium.ts'

const file = join(import.meta.dirname, '..', '..', '.github', 'tidings.png')
const [width, height] = [540, 476]
/** Pictures of more bytes make the README slow to open. */
const MAX_BYTES = 80_000

const server = await start()
const page = await chromium.newPage({ viewport: { width, height }, timezoneId: 'UTC' })
await page.goto(server.url)
await page.waitForSelector('#messages .message')

const lines: string[] = []
const curl = (...args: string[]) => {
  lines.push(`$ curl ${args.map((arg) => (/[?&]/.test(arg) ? `'${arg}'` : arg)).join(' ')}`)
  const here = args.map((arg) => arg.replace('localhost:3000', `127.0.0.1:${server.port}`))
  const { stdout } = spawnSync('curl', ['-s', '-m', '0.5', ...here], { encoding: 'utf8' })
  lines.push(stdout.trim(), '')
}
curl('localhost:3000/send?message=good+morning')
curl('localhost:3000/send?message=hi')
curl('-N', 'localhost:3000/event')
await page.waitForSelector('#messages .message:nth-of-type(3)')
await page.waitForTimeout(3000) // until new rows have faded to the colour of the others

const shot = (await page.screenshot()).toString('base64')
const picture = await chromium.newPage({
  viewport: { width: 2 * width + 60, height: height + 40 },
  deviceScaleFactor: 1,
})
await show(picture)
const bytes = await picture.screenshot()
await chromium.leave()
await chromium.quit()
await cleanUp()
if (bytes.byteLength > MAX_BYTES)
  throw new Error(`Cannot use a picture of ${bytes.byteLength} bytes: expected ${MAX_BYTES} at most`)
writeFileSync(file, bytes)
console.log(`${file}: ${bytes.byteLength} bytes`)

async function show(on: Page): Promise<void> {
  await on.setContent(`<!doctype html>
    <style>
      body { margin: 0; padding: 20px; display: flex; gap: 20px; background: #fff }
      body > * { width: ${width}px; height: ${height}px; box-sizing: border-box; border-radius: 8px; border: 1px solid #ccc }
      pre { margin: 0; padding: 20px; background: #1c2326; color: #d8dee0; font: 14px/1.5 monospace; white-space: pre-wrap; overflow-wrap: anywhere }
    </style>
    <pre></pre><img src="data:image/png;base64,${shot}">`)
  await on.evaluate((text) => {
    document.querySelector('pre')!.textContent = text
  }, lines.join('\n'))
}
