import { expect } from 'vitest'

/** What the tests call of a page: playwright's and puppeteer's are both one. */
export interface Tab {
  url(): string
  focus(selector: string): Promise<void>
  evaluate<T>(run: () => T): Promise<Awaited<T>>
  readonly keyboard: { type(text: string): Promise<void>; press(key: 'Enter'): Promise<void> }
}

/** The hub's page, as somebody sees and uses it. */
export class Visit<T extends Tab = Tab> {
  readonly page: T
  readonly #setOffline: (offline: boolean) => Promise<void>

  constructor(page: T, setOffline: (offline: boolean) => Promise<void>) {
    this.page = page
    this.#setOffline = setOffline
  }

  /** Texts of the messages in the list, and what is said between them of a gap or a close. */
  get texts(): Promise<(string | null)[]> {
    return this.page.evaluate(() =>
      [...document.querySelectorAll('#messages :is(.text, .notice p:first-child)')].map(
        ({ textContent }) => textContent,
      ),
    )
  }

  /** Resolves when the list holds exactly these: a gap that is not among them fails too. */
  async shows(...texts: string[]): Promise<void> {
    await expect.poll(() => this.texts, { interval: 20, timeout: 10_000 }).toEqual(texts)
  }

  /** Resolves when the connection is said to be in this state, and what is said about it matches. */
  async is(state: 'Connecting' | 'Live' | 'Reconnecting' | 'Gap' | 'Closed', detail = /^/): Promise<void> {
    const said = () =>
      this.page.evaluate(() => {
        const [word, detail] = document.querySelector('#state')!.children
        return { word: word!.textContent, detail: detail!.textContent }
      })
    await expect
      .poll(said, { interval: 20, timeout: 10_000 })
      .toEqual({ word: state, detail: expect.stringMatching(detail) })
  }

  /** Types a message and presses Enter. */
  async says(text: string): Promise<void> {
    await this.#type('#message', text)
    await this.page.keyboard.press('Enter')
  }

  /** Types topics and patterns into the topic field and presses Enter. */
  async watches(topics: string): Promise<void> {
    await this.#type('#topic', topics)
    await this.page.keyboard.press('Enter')
    await this.is('Live')
  }

  /** Types the topic that the next message is for. */
  async addresses(topic: string): Promise<void> {
    await this.#type('#to', topic)
  }

  /** What happens meanwhile is done before the page can reach the server again. */
  async offline<R>(meanwhile: () => Promise<R>): Promise<R> {
    await this.#setOffline(true)
    const result = await meanwhile()
    await this.#setOffline(false)
    return result
  }

  async #type(field: string, text: string): Promise<void> {
    await this.page.focus(field)
    await this.page.evaluate(() => (document.activeElement as HTMLInputElement).select())
    await this.page.keyboard.type(text)
  }
}
