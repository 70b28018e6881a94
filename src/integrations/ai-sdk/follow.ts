import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { jitter } from '../../hub/random.ts'
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
/** First time between two attempts to connect, until the hub says another, and the longest one, unless the hub's is longer, in ms. */
const [RETRY_MS, MAX_RETRY_MS] = [250, 5000]
/** Longest wait that a hub can ask for, in ms: timers of more than 24 days would fire at once. */
const MAX_WAIT_MS = 3_600_000

/**
 * Reads the chunks of an answer from the topic of its run, over as many connections as it takes: each goes on after the last event of the one
 * before, once the hub wants it back. Ends with `[DONE]`.
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
  let retryMs = RETRY_MS
  let attempt = 0
  let cause: unknown
  for (let aliveAt = performance.now(); !signal.aborted; attempt++) {
    const connection = new Connection(hub, answer.topic, lastId, signal)
    try {
      for await (const events of connection) {
        aliveAt = performance.now()
        attempt = 0
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
      cause = error
    } finally {
      connection.close()
    }
    if (signal.aborted) return
    const leftMs = hub.maxOutageMs - (performance.now() - aliveAt)
    if (leftMs <= 0) throw new TypeError(`network error: cannot reach ${hub.url}/event`, { cause })
    retryMs = connection.retryMs ?? retryMs
    const pauseMs = pauseAfter(connection, retryMs, attempt)
    // An outage that the hub does not announce is an error in time, whatever a proxy says in its place.
    await sleep(Math.min(pauseMs, MAX_WAIT_MS, connection.isEnding ? Infinity : leftMs), signal)
  }
}

/** How long to wait for the next connection, in ms: as long as the hub says, or at random, longer with each attempt. */
function pauseAfter({ isEnding, retryAfterMs }: Connection, retryMs: number, attempt: number): number {
  if (isEnding) return retryMs // the hub has made it random
  return retryAfterMs + jitter(Math.min(retryMs * 2 ** attempt, Math.max(MAX_RETRY_MS, retryMs)))
}

/** An answer that another attempt would not change. */
class Refused extends Error {}

/** One response of `/event`. */
class Connection {
  status = 0
  /** The time to reconnect, if the hub has said one. */
  retryMs: number | undefined
  /** Whether the hub has said that it ends the stream. */
  isEnding = false
  /** How long the hub refuses streams. */
  retryAfterMs = 0
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
    this.retryAfterMs = 1000 * (Number(response.headers.get('retry-after')) || 0)
    if (isRefusal(response.status)) throw new Refused(await reasonOf(response))
    if (response.status >= 300) throw new Error(await reasonOf(response))
    if (response.status !== 200 || !response.body) return
    const events: EventSourceMessage[] = []
    const parser = createParser({
      onEvent: (event) => {
        events.push(event)
        this.isEnding ||= event.event === 'hub.ending'
      },
      onRetry: (ms) => {
        this.retryMs = ms
      },
    })
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
