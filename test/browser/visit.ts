import { expect } from 'vitest'

/** The methods of a page that the tests call, which playwright and puppeteer both have. */
export interface Tab {
  url(): string
  focus(selector: string): Promise<void>
  evaluate<T>(run: () => T): Promise<Awaited<T>>
  readonly keyboard: { type(text: string): Promise<void>; press(key: 'Enter'): Promise<void> }
}

/** The hub's page, as a person sees and uses it. */
export class Visit<T extends Tab = Tab> {
  readonly page: T
  readonly #setOffline: (offline: boolean) => Promise<void>

  constructor(page: T, setOffline: (offline: boolean) => Promise<void>) {
    this.page = page
    this.#setOffline = setOffline
  }

  /** The texts of the messages in the list, and of the notices of gaps and closes between them. */
  get texts(): Promise<(string | null)[]> {
    return this.page.evaluate(() =>
      [...document.querySelectorAll('#messages :is(.text, .notice p:first-child)')].map(
        ({ textContent }) => textContent,
      ),
    )
  }

  /** Resolves when the list holds exactly these texts, notices included. */
  async shows(...texts: string[]): Promise<void> {
    await expect.poll(() => this.texts).toEqual(texts)
  }

  /** Resolves when the page shows this state of the connection, with a matching detail. */
  async is(
    state: 'Connecting' | 'Live' | 'Reconnecting' | 'Gap' | 'Paused' | 'Closed' | 'Refused',
    detail = /^/,
  ): Promise<void> {
    const said = () =>
      this.page.evaluate(() => {
        const [word, detail] = document.querySelector('#state')!.children
        return { word: word!.textContent, detail: detail!.textContent }
      })
    await expect.poll(said).toEqual({ word: state, detail: expect.stringMatching(detail) })
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

  /** Types the topic of the next message. */
  async addresses(topic: string): Promise<void> {
    await this.#type('#to', topic)
  }

  /** Keeps the page offline until `meanwhile` is done. */
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
