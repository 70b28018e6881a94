import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { expect } from 'vitest'

/** Reads a stream with a public parser, and keeps its text, events, comments and retries. */
export class Reader {
  text = ''
  readonly events: EventSourceMessage[] = []
  readonly retries: number[] = []
  comments = 0
  ended = false
  readonly #decoder = new TextDecoder()
  readonly #parser = createParser({
    onEvent: (event) => this.events.push(event),
    onRetry: (retry) => this.retries.push(retry),
    onComment: () => this.comments++,
    onError: (error) => {
      throw error
    },
  })

  feed(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true })
    this.text += text
    this.#parser.feed(text)
  }

  /** Reads until the end, in the background. */
  follow(chunks: AsyncIterable<Uint8Array>): this {
    const run = async () => {
      for await (const chunk of chunks) this.feed(chunk)
      this.ended = true
    }
    run().catch(() => {
      this.ended = true
    })
    return this
  }

  /** `name data id` of each event, without the name for messages. */
  get lines(): string[] {
    return this.events.map(({ event, data, id }) => [event, data, id].filter((part) => part !== undefined).join(' '))
  }

  /** The data of all events except control events. */
  get data(): string[] {
    return this.events.filter(({ event }) => !event?.startsWith('hub.')).map(({ data }) => data)
  }

  /** Resolves when the data is exactly this. */
  async gets(...data: string[]): Promise<void> {
    await expect.poll(() => this.data, { interval: 5, timeout: 15_000 }).toEqual(data)
  }

  /** The newest id, which a browser would send as Last-Event-ID. */
  get lastEventId(): string | undefined {
    return this.events.findLast(({ id }) => id !== undefined)?.id
  }

  /** The parsed data of all control events of a name. */
  control(name: string): Record<string, unknown>[] {
    return this.events.filter(({ event }) => event === `hub.${name}`).map(({ data }) => JSON.parse(data))
  }
}
