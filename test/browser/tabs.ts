import puppeteer, { type Browser, type BrowserContext, type Page } from 'puppeteer-core'
import type { SubscribeOptions } from '../../public/client.js'
import { chromiumProgram, firefoxProgram, raise } from './browser.ts'
import { launchFirefox } from './firefox.ts'

interface Heard {
  readonly data: string[]
  readonly states: string[]
  readonly gaps: string[]
}

type TabOptions = SubscribeOptions & {
  readonly shared?: boolean
  readonly token?: string
  readonly heartbeatMs?: number
}

/**
 * A browser whose tabs are those of one person: all but the newest are hidden. Driven by puppeteer, because playwright shows every tab as
 * visible.
 */
export class Tabs {
  readonly name: string
  /** Why the tests of this browser are skipped; '' if the browser is there. */
  readonly missing: string
  readonly #launch: () => Promise<Browser>
  #launched: Promise<Browser> | undefined
  #context: BrowserContext | undefined
  readonly #problems: string[] = []

  constructor(name: string, missing: string, launch: () => Promise<Browser>) {
    this.name = name
    this.missing = missing
    this.#launch = launch
  }

  /** Opens a tab at a hub, in which nothing runs. */
  async open(url: string): Promise<Tab> {
    this.#launched ??= this.#launch()
    this.#context ??= await (await this.#launched).createBrowserContext()
    const page = await this.#context.newPage()
    page.on('pageerror', (error) => this.#problems.push(String(error)))
    await page.goto(`${url}/style.css`)
    // As a text, because vitest rewrites imports.
    await page.evaluate("import('/client.js').then((client) => { window.client = client })")
    return new Tab(page)
  }

  /** Sends a signal to all processes of the browser. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const { pid } = (await this.#launched)!.process()!
    process.kill(-pid!, signal) // puppeteer starts a process group
  }

  /** Closes every tab, and throws if one of them threw: for `afterEach`. */
  async leave(): Promise<void> {
    await this.#context?.close()
    this.#context = undefined
    raise(this.#problems)
  }

  /** Ends the browser: for `afterAll`. */
  async quit(): Promise<void> {
    await (await this.#launched)?.close()
    this.#launched = undefined
  }
}

export class Tab {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  /** Subscribes with the client of the hub. */
  async subscribe(
    topics: readonly string[],
    { shared = false, token, heartbeatMs = 15_000, ...options }: TabOptions = {},
  ): Promise<void> {
    await this.page.evaluate(
      (topics, connecting, options) => {
        const { client } = window as unknown as { client: typeof import('../../public/client.js') }
        const heard: Heard = { data: [], states: [], gaps: [] }
        const hub = client.connect({ url: '/', ...connecting })
        const subscription = hub.subscribe(topics, {
          ...options,
          onEvent: ({ data }) => heard.data.push(data),
          onState: ({ state }) => heard.states.push(state),
          onGap: ({ reason }) => heard.gaps.push(reason),
        })
        Object.assign(window, { hub, subscription, heard })
      },
      [...topics],
      { shared, heartbeatMs, ...(token !== undefined && { token }) },
      options,
    )
  }

  get heard(): Promise<Heard> {
    return this.page.evaluate(() => (window as unknown as { heard: Heard }).heard)
  }

  get data(): Promise<string[]> {
    return this.heard.then(({ data }) => data)
  }

  get state(): Promise<string | undefined> {
    return this.heard.then(({ states }) => states.at(-1))
  }

  /** Whether this tab reads the stream of all tabs. */
  get isReading(): Promise<boolean> {
    return this.page.evaluate(() =>
      navigator.locks.request('this tab', async () => {
        const { held = [] } = await navigator.locks.query()
        const own = held.find(({ name }) => name === 'this tab')!.clientId
        return held.some(({ name, clientId }) => name?.endsWith(' leader') && clientId === own)
      }),
    )
  }

  get isHidden(): Promise<boolean> {
    return this.page.evaluate(() => document.hidden)
  }
}

export const chromiumTabs = new Tabs('Chromium', chromiumProgram.missing, () =>
  puppeteer.launch({
    executablePath: chromiumProgram.path!,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  }),
)

export const firefoxTabs = new Tabs('Firefox', firefoxProgram.missing, launchFirefox)
