import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'

const places = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]
const executablePath = places.find((place) => place && existsSync(place))

/** Where there is no Chromium, what is seen in it is skipped. */
export const withoutBrowser = executablePath ? '' : 'needs Chromium or Chrome: name one with CHROMIUM=PATH'

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Far from the server's zone, so that its time is not taken for the reader's. */
export const reader = { locale: 'en-GB', timezoneId: 'Asia/Tokyo' } as const

let launched: Promise<Browser> | undefined
const contexts = new Set<BrowserContext>()
const problems: string[] = []

/** Opens the hub's page as another person: nothing is shared with the pages opened before. */
export async function open(url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const page = await newPage(options)
  await note(page)
  await page.goto(url)
  return new Visit(page)
}

/** A page for any address. */
export async function newPage(options: BrowserContextOptions = {}): Promise<Page> {
  launched ??= chromium.launch({ args, ...(executablePath && { executablePath }) })
  const context = await (await launched).newContext({ ...reader, ...options })
  contexts.add(context)
  return context.newPage()
}

/** Closes every page and fails if one of the hub's threw, broke its policy or asked something: for `afterEach`. */
export async function leave(): Promise<void> {
  for (const context of contexts) await context.close()
  contexts.clear()
  expect(problems.splice(0)).toEqual([])
}

/** Ends the browser: for `afterAll`. */
export async function quit(): Promise<void> {
  await (await launched)?.close()
  launched = undefined
}

async function note(page: Page): Promise<void> {
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) =>
      console.error(`policy: ${effectiveDirective} blocked ${blockedURI}`),
    )
  })
  page.on('pageerror', (error) => problems.push(`thrown: ${error.message}`))
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`)
    dialog.dismiss()
  })
  page.on('console', (message) => {
    if (message.type() !== 'error') return
    // Chromium itself reports a lost stream and a refused request; tests cause both, and look at what the page makes of them.
    const { url } = message.location()
    const isAnswer = URL.canParse(url) && ['/event', '/send'].includes(new URL(url).pathname)
    if (!isAnswer) problems.push(`console: ${message.text()} (${url})`)
  })
}

/** The hub's page, as somebody sees and uses it. */
export class Visit {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  /** Texts of the messages in the list. */
  get texts(): Promise<string[]> {
    return this.page.locator('#messages .text').allTextContents()
  }

  /** Resolves when the list holds exactly these messages. */
  async shows(...texts: string[]): Promise<void> {
    await expect.poll(() => this.texts, { interval: 20, timeout: 10_000 }).toEqual(texts)
  }

  /** Resolves when the connection is said to be in this state. */
  async is(state: 'Connecting' | 'Live' | 'Reconnecting' | 'Gap' | 'Closed'): Promise<void> {
    const word = this.page.locator('#state .word')
    await expect.poll(() => word.textContent(), { interval: 20, timeout: 10_000 }).toBe(state)
  }

  /** Writes a message and presses Enter. */
  async says(text: string): Promise<void> {
    const field = this.page.getByRole('textbox', { name: /^Message/ })
    await field.fill(text)
    await field.press('Enter')
  }

  /** Writes topics and patterns into the topic field and presses Enter. */
  async watches(topics: string): Promise<void> {
    const field = this.page.getByRole('textbox', { name: 'Topic', exact: true })
    await field.fill(topics)
    await field.press('Enter')
    await this.is('Live')
  }
}
