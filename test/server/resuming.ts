import type { EventSourceMessage } from 'eventsource-parser'
import { expect } from 'vitest'
import type { Random } from './random.ts'
import type { Server } from './server.ts'
import { Stream } from './stream.ts'

export type Placed = readonly [id: string, data: string]

/** A reader that reconnects with its Last-Event-ID whenever its stream ends, and sometimes ends it itself. */
export class Resuming {
  readonly name: string
  readonly got: Placed[] = []
  readonly gaps: string[] = []
  streams = 0
  readonly #path: string
  #lastEventId: string
  #stream: Stream | undefined
  #stopped = false

  constructor(name: string, path: string, lastEventId: string) {
    this.name = name
    this.#path = path
    this.#lastEventId = lastEventId
  }

  async run(up: () => Promise<Server>, numbers: Random): Promise<void> {
    while (!this.#stopped) {
      const { port } = await up()
      const patience = numbers.whole(20, 400)
      const stream = new Stream(port, this.#path, { lastEventId: this.#lastEventId })
      this.#stream = stream
      this.streams++
      let taken = 0
      while (!stream.closed && !stream.ended) {
        await stream.until(() => stream.closed || stream.ended || stream.reader.events.length > taken)
        for (; taken < stream.reader.events.length; taken++) this.#note(stream.reader.events[taken]!)
        if (taken >= patience && !this.#stopped) stream.socket.destroy()
        if (stream.socket.destroyed) await stream.gone()
      }
      stream.socket.destroy() // a proxy would keep the connection for the next request
    }
  }

  /** Resolves when the entry at this position has arrived. */
  async reaches(id: string): Promise<void> {
    await expect
      .poll(() => seqOf(this.got.at(-1)?.[0] ?? '-0'), { timeout: 15_000, interval: 10, message: this.name })
      .toBe(seqOf(id))
  }

  stop(): void {
    this.#stopped = true
    this.#stream?.socket.destroy()
  }

  #note({ event, data, id }: EventSourceMessage): void {
    if (event === 'hub.gap') this.gaps.push(data)
    if (id === undefined) return // a repeat of the demo stream
    this.#lastEventId = id
    if (!event?.startsWith('hub.')) this.got.push([id, saidIn(event, data)])
  }
}

/** The published text; the demo stream wraps it in JSON. */
export function saidIn(event: string | undefined, data: string): string {
  return event === 'message' ? JSON.parse(data).message : data
}

/** Posts JSON. Resolves with the answer, or with undefined if the outcome is unknown: no answer, or a 5xx. */
export async function post<Answer>(url: string, body: object): Promise<Answer | undefined> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const text = await answer.text()
    if (answer.status >= 500) return
    expect(answer.status, text).toBe(200)
    return JSON.parse(text)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return
  }
}

export function seqOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('-') + 1))
}
