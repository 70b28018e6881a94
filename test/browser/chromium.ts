import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type BrowserContext,
  type BrowserContextOptions,
  type Browser as Launched,
  type Page,
  chromium as playwright,
} from 'playwright-core'
import { folder } from '../server/server.ts'
import { type Browser, chromiumProgram, raise, tellViolations } from './browser.ts'
import { Visit } from './visit.ts'

const { path: executablePath, missing } = chromiumProgram

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const launching = { args, ...(executablePath && { executablePath }) }

/** Far from the server's time zone, so that a test can tell their times apart. */
export const reader = { locale: 'en-GB', timezoneId: 'Asia/Tokyo' } as const

interface Chromium extends Browser<Page> {
  open(url: string, options?: BrowserContextOptions): Promise<Visit<Page>>
  /** Opens the hub's page in another tab of the same person. */
  openBeside(visit: Visit<Page>, url: string): Promise<Visit<Page>>
  /** Opens the hub's page in a browser whose settings block site data: cookies, storage and locks. */
  openWithoutSiteData(url: string): Promise<Visit<Page>>
  /** Opens an empty page for any address. */
  newPage(options?: BrowserContextOptions): Promise<Page>
}

let launched: Promise<Launched> | undefined
const contexts = new Set<BrowserContext>()
const problems: string[] = []

export const chromium: Chromium = {
  name: 'Chromium',
  missing,

  async open(url, options) {
    return visit(await chromium.newPage(options), url)
  },

  async openBeside({ page }, url) {
    return visit(await page.context().newPage(), url)
  },

  async openWithoutSiteData(url) {
    const profile = folder()
    mkdirSync(join(profile, 'Default'))
    const BLOCK = 2
    const preferences = { profile: { default_content_setting_values: { cookies: BLOCK } } }
    writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences))
    const context = await playwright.launchPersistentContext(profile, { ...launching, ...reader })
    contexts.add(context)
    return visit(await context.newPage(), url)
  },

  async newPage(options) {
    launched ??= playwright.launch(launching)
    const context = await (await launched).newContext({ ...reader, ...options })
    contexts.add(context)
    return context.newPage()
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

async function visit(page: Page, url: string): Promise<Visit<Page>> {
  await note(page)
  await page.goto(url)
  return new Visit(page, (offline) => page.context().setOffline(offline))
}

async function note(page: Page): Promise<void> {
  await page.addInitScript(tellViolations)
  page.on('pageerror', (error) => problems.push(`thrown: ${error.message}`))
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`)
    dialog.dismiss()
  })
  page.on('console', (message) => {
    if (message.type() !== 'error') return
    // Chromium itself reports a lost stream and a refused request; tests cause both, and check how the page handles them.
    const { url } = message.location()
    const isAnswer = URL.canParse(url) && ['/event', '/send', '/login'].includes(new URL(url).pathname)
    // Chromium fetches the tab's icon at any time, perhaps from a server that a test kills during its answer. An HTTP
    // error status has another text, and a blocked request is ERR_BLOCKED.
    const isUnreachable = /net::ERR_(CONNECTION|INTERNET|INCOMPLETE|EMPTY|CONTENT_LENGTH)_/.test(message.text())
    if (!isAnswer && !isUnreachable) problems.push(`console: ${message.text()} (${url})`)
  })
}
