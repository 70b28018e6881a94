import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import puppeteer, { type BrowserContext, type Browser as Launched, type Page } from 'puppeteer-core'
import { type Browser, firefoxProgram, raise, tellViolations } from './browser.ts'
import { Visit } from './visit.ts'

let launched: Promise<Launched> | undefined
const contexts = new Set<BrowserContext>()
const problems: string[] = []

/** Driven by WebDriver BiDi, which Debian's Firefox supports; playwright drives only its own build of Firefox. */
export const firefox: Browser<Page> = {
  name: 'Firefox',
  missing: firefoxProgram.missing,

  async open(url) {
    launched ??= launchFirefox()
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
  },
}

/** Launches Firefox with a home folder of its own, because it does not start if it cannot write there. */
export async function launchFirefox(): Promise<Launched> {
  const home = mkdtempSync(join(tmpdir(), 'firefox-'))
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: firefoxProgram.path!,
    env: { ...process.env, HOME: home },
  })
  browser.once('disconnected', () => rmSync(home, { recursive: true, force: true }))
  return browser
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
