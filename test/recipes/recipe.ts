import { join } from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { expect } from 'vitest'
import { chromium } from '../browser/chromium.ts'
import type { Runtime } from '../server/runtimes.ts'
import { folder, freePort, launch, type Process } from '../server/server.ts'

/** What the pages of recipes have thrown. */
export const problems: string[] = []

/** The server of a recipe in a process of its own, which can be killed and started again on its port with its data. */
export class Recipe {
  readonly url: string
  readonly #runtime: Runtime
  readonly #settings: Record<string, string>
  #process: Process | undefined

  private constructor(name: string, port: number, settings: Readonly<Record<string, string>>) {
    this.url = `http://localhost:${port}`
    this.#settings = { PORT: `${port}`, FOLDER: folder(), ...settings }
    const server = join(import.meta.dirname, name, 'server.ts')
    this.#runtime = {
      name,
      command: () => ['sh', '-c', 'cd "$FOLDER" && exec "$0" "$1"', process.execPath, server],
      listens: /http:\/\/localhost:\d+/,
    }
  }

  static async start(name: string, settings: Readonly<Record<string, string>> = {}): Promise<Recipe> {
    const recipe = new Recipe(name, await freePort(), settings)
    await recipe.start()
    return recipe
  }

  async start(): Promise<void> {
    this.#process = launch(this.#settings, [], this.#runtime)
    await this.#process.says(this.#runtime.listens)
  }

  async kill(): Promise<void> {
    await this.#process!.kill('SIGKILL')
  }

  /** Opens a page of the recipe, live, as another person. */
  async open(path = '/', options?: BrowserContextOptions): Promise<Page> {
    const page = await chromium.newPage(options)
    page.on('pageerror', (error) => problems.push(String(error)))
    await page.goto(new URL(path, this.url).href)
    await isLive(page)
    return page
  }

  /** Publishes as a curl line does. */
  async publish(message: { topic: string; data: unknown; event?: string } & Record<string, unknown>): Promise<void> {
    const answer = await fetch(`${this.url}/live/send`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(message),
    })
    expect([answer.status, answer.status === 200 ? '' : await answer.text()]).toEqual([200, ''])
  }

  /** Open streams, as the hub counts them. */
  async readers(): Promise<number> {
    return ((await (await fetch(`${this.url}/live/ready`)).json()) as { readers: number }).readers
  }
}

export async function isLive(page: Page): Promise<void> {
  await expect.poll(() => page.evaluate(() => document.body.dataset.state)).toBe('live')
}

/** Resolves when the elements have these texts. */
export async function shows(page: Page, selector: string, texts: readonly (string | RegExp)[]): Promise<void> {
  const expected = texts.map((text) => (typeof text === 'string' ? text : expect.stringMatching(text)))
  await expect.poll(() => page.locator(selector).allTextContents()).toEqual(expected)
}

/** Takes the picture of a recipe, if the environment has `PICTURES`. */
export async function picture(page: Page, name: string): Promise<void> {
  if (!process.env.PICTURES) return
  await page.setViewportSize({ width: 720, height: 480 })
  await page.screenshot({ path: join(import.meta.dirname, name, 'picture.png') })
}
