import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import puppeteer, { type BrowserContext, type Browser as Launched, type Page } from 'puppeteer-core'
import { type Browser, programAt, raise, tellViolations } from './browser.ts'
import { Visit } from './visit.ts'

const executablePath = programAt(
  process.env.FIREFOX,
  '/usr/bin/firefox-esr',
  '/usr/bin/firefox',
  '/Applications/Firefox.app/Contents/MacOS/firefox',
)

let launched: Promise<Launched> | undefined
let home: string | undefined
const contexts = new Set<BrowserContext>()
const problems: string[] = []

/** Driven by WebDriver BiDi, which Debian's Firefox supports; playwright drives only its own build of Firefox. */
export const firefox: Browser<Page> = {
  name: 'Firefox',
  missing: executablePath ? '' : 'needs Firefox: name one with FIREFOX=PATH',

  async open(url) {
    launched ??= launch(executablePath!)
    const context = await (await launched).createBrowserContext()
    contexts.add(context)
    const page = await context.newPage()
    await note(page)
    await page.goto(url)
    return new Visit(page, (offline) => page.setOfflineMode(offline))
  },

  async leave() {
    for (const context of contexts) await context.close()
    contexts.clear()
    raise(problems)
  },

  async quit() {
    await (await launched)?.close()
    launched = undefined
    if (home) rmSync(home, { recursive: true, force: true })
  },
}

/** Launches Firefox with a home folder of its own, because it does not start if it cannot write there. */
function launch(executablePath: string): Promise<Launched> {
  home = mkdtempSync(join(tmpdir(), 'firefox-'))
  return puppeteer.launch({ browser: 'firefox', executablePath, env: { ...process.env, HOME: home } })
}

/** Firefox itself reports a lost stream, which tests cause, as an error thrown by the page. */
const isLostStream = (message: string) => /^(Firefox can’t establish a|The) connection to .*\/event\b/.test(message)

async function note(page: Page): Promise<void> {
  await page.evaluateOnNewDocument(tellViolations)
  page.on('pageerror', (error) => {
    const message = error instanceof Error ? error.message : String(error)
    if (!isLostStream(message)) problems.push(`thrown: ${message}`)
  })
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`)
    dialog.dismiss()
  })
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console: ${message.text()} (${message.location().url})`)
  })
}
