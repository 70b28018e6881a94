import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { sleep } from '../../runs/sleep.ts'
import { Chunks, DONE, type End, endingOf, GAP } from './wire.ts'

/** What it takes to read a topic of a hub. */
export interface HubAccess {
  /** The URL of the hub, with the path under which it is mounted. */
  readonly url: string
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  /** The headers and credentials of a request, made anew for each. */
  readonly init: () => Promise<RequestInit>
  /** How long the hub may be out of reach, in ms. */
  readonly maxOutageMs: number
}

/** Where an answer is. */
export interface At {
  readonly topic: string
  /** A position before its first entry; undefined if the application has not told. */
  readonly after: string | undefined
}

/** A hub says something every 15 s by default. A connection that is silent for longer than this, in ms, is opened again. */
const SILENCE_MS = 45_000
/** First and longest time between two attempts to connect, in ms. */
const [RETRY_MS, MAX_RETRY_MS] = [250, 5000]

/**
 * Reads the chunks of an answer from the topic of its run, over as many connections as it takes: each goes on after the last event of the one
 * before. Ends with `[DONE]`.
 *
 * @throws TypeError `network error: …`: the hub was out of reach for too long
 * @throws Error the hub refuses the request
 */
export async function* follow(
  hub: HubAccess,
  answer: At,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const chunks = new Chunks()
  let lastId = answer.after
  let pauseMs = RETRY_MS
  for (let aliveAt = performance.now(); !signal.aborted; ) {
    const connection = new Connection(hub, answer.topic, lastId, signal)
    try {
      for await (const events of connection) {
        aliveAt = performance.now()
        pauseMs = RETRY_MS
        for (const event of events) {
          if (!announcesGap(event)) lastId = event.id ?? lastId
          yield* chunks.take(event)
          const end = event.event === 'hub.gap' ? [GAP, DONE] : event.event === 'hub.closed' ? endOf(event, chunks) : []
          yield* end
          if (chunks.isDone || end.length > 0) return
        }
      }
      // After the last event of a closed topic, the hub has nothing to say.
      if (connection.status === 204) return yield* endingOf({ outcome: 'abandoned' })
    } catch (error) {
      if (error instanceof Refused) throw error
    } finally {
      connection.close()
    }
    if (signal.aborted) return
    if (performance.now() - aliveAt > hub.maxOutageMs)
      throw new TypeError(`network error: cannot reach ${hub.url}/event`)
    await sleep(pauseMs * (0.5 + Math.random() / 2), signal)
    pauseMs = Math.min(2 * pauseMs, MAX_RETRY_MS)
  }
}

/** An answer that another attempt would not change. */
class Refused extends Error {}

/** One response of `/event`. */
class Connection {
  status = 0
  readonly #control = new AbortController()
  readonly #open: (init: RequestInit) => Promise<Response>
  readonly #init: () => Promise<RequestInit>
  #silence: ReturnType<typeof setTimeout> | undefined

  constructor({ url, fetch, init }: HubAccess, topic: string, lastId: string | undefined, signal: AbortSignal) {
    // In the query, because the header would cost a page of another origin a preflight.
    const begin = lastId === undefined ? { from: 'earliest' } : { lastEventId: lastId }
    this.#open = (rest) => fetch(`${url}/event?${new URLSearchParams({ topic, ...begin })}`, rest)
    this.#init = init
    signal.addEventListener('abort', () => this.close(), { signal: this.#control.signal })
  }

  /** The events that each chunk of the response completes. A heartbeat completes none. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly EventSourceMessage[], void, undefined> {
    this.#listen()
    const { headers, ...init } = await this.#init()
    const all = new Headers(headers)
    all.set('accept', 'text/event-stream')
    const { signal } = this.#control
    const response = await this.#open({ ...init, headers: all, cache: 'no-store', signal })
    this.status = response.status
    if (isRefusal(response.status)) throw new Refused(await reasonOf(response))
    if (response.status !== 200 || !response.body) return
    const events: EventSourceMessage[] = []
    const parser = createParser({ onEvent: (event) => void events.push(event) })
    const reader = response.body.getReader()
    const decoder = new TextDecoder()
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      this.#listen()
      parser.feed(decoder.decode(read.value, { stream: true }))
      yield events.splice(0)
    }
  }

  close(): void {
    clearTimeout(this.#silence)
    this.#control.abort()
  }

  #listen(): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => this.close(), SILENCE_MS)
  }
}

/** 408, 425 and 429 ask the client to come back. */
function isRefusal(status: number): boolean {
  return status >= 300 && status < 500 && ![408, 425, 429].includes(status)
}

async function reasonOf(response: Response): Promise<string> {
  const { detail } = (await response.json().catch(() => ({}))) as { detail?: string }
  return detail ?? `The hub answered ${response.status}`
}

/** Whether an event says that a gap follows. Its id is behind the gap: a reader that resumes there would not be told of the gap. */
function announcesGap({ event, data }: EventSourceMessage): boolean {
  return event === 'hub.open' && JSON.parse(data).state === 'gap'
}

/** The chunks that `hub.closed` adds. */
function endOf({ data }: EventSourceMessage, { isDone }: Chunks): readonly string[] {
  return isDone ? [] : endingOf(JSON.parse(data) as End)
}
