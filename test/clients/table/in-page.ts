// Runs a program in a page of the hub, in Chromium, and prints what it logs: node in-page.ts PROGRAM URL
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { chromium } from '../../browser/chromium.ts'

const [program, url] = process.argv.slice(2) as [string, string]
const { origin } = new URL(url)
// The hub's own page may only run the hub's own scripts.
const page = await chromium.newPage({ bypassCSP: true })
page.on('console', (message) => process.stdout.write(`${message.text()}\n`))
await page.route(`${origin}/packages/**`, async (route) => {
  const path = new URL(route.request().url()).pathname.replace('/packages/', 'node_modules/')
  await route.fulfill({ contentType: 'text/javascript', body: await readFile(join(dirname(program), path)) })
})
await page.goto(`${origin}/style.css`)
const content = (await readFile(program, 'utf8')).replace(/\burl\b/, JSON.stringify(url))
await page.addScriptTag({ type: 'module', content })
