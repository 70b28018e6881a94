import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { expect } from 'vitest'

/** Reads a stream with a public parser, and keeps everything: bytes as text, events, comments, retries. */
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

  /** `name data id` of each event, the name left out for messages. */
  get lines(): string[] {
    return this.events.map(({ event, data, id }) => [event, data, id].filter((part) => part !== undefined).join(' '))
  }

  /** Data of the events that are not the hub's own. */
  get data(): string[] {
    return this.events.filter(({ event }) => !event?.startsWith('hub.')).map(({ data }) => data)
  }

  /** Resolves when the data is exactly this. */
  async gets(...data: string[]): Promise<void> {
    await expect.poll(() => this.data, { interval: 5, timeout: 5000 }).toEqual(data)
  }

  /** The newest id: what a browser would send as Last-Event-ID. */
  get lastEventId(): string | undefined {
    return this.events.findLast(({ id }) => id !== undefined)?.id
  }

  /** Control events of a name, their data parsed. */
  control(name: string): Record<string, unknown>[] {
    return this.events.filter(({ event }) => event === `hub.${name}`).map(({ data }) => JSON.parse(data))
  }
}
