import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { EXIT, Failure } from './failure.ts'
import { type Remote, unreachable } from './remote.ts'

/** What a stream of topics contains, for a reader. */
export type Item =
  | { readonly event: Event }
  | { readonly gap: Readonly<Record<string, unknown>> & { readonly reason: string } }
  | { readonly closed: { readonly topic: string; readonly outcome?: string; readonly detail?: string } }

interface Event {
  readonly id?: string
  readonly topic: string
  readonly event: string
  readonly data: string
  readonly time: string
}

/** What to follow, and from where. */
export interface Following {
  readonly topics: readonly string[]
  /** The position to begin after. */
  readonly after?: string | undefined
  /** The beginning without a position: `last`, `since` or `from`. */
  readonly beginning: Readonly<Record<string, string>>
  /** Called before a wait for the next connection. */
  onWait?(ms: number, position: string | undefined, why: string): void
}

/** A stream that is silent for longer is dead: the hub writes a heartbeat every 15 s by default. A new connection loses nothing. */
const SILENCE_MS = 60_000
/** The longest silence that is waited for. Node's `fetch` itself waits for 300 s. */
const MAX_SILENCE_MS = 240_000
/** The time to reconnect until the hub says another. */
const RETRY_MS = 3000
/** The longest time to reconnect that a hub can be set to; timers of more than 24 days would fire at once. */
const MAX_RETRY_MS = 3_600_000
/** Longest wait between attempts, unless the hub asks for more. */
const MAX_WAIT_MS = 30_000
/** Most characters of one event: more than the highest `MAX_EVENT_BYTES` allows. */
const MAX_EVENT = 128 * 1024 ** 2

/**
 * Follows topics until all of them are closed. After every interruption it resumes where it was: each event comes once and in order, or a
 * gap comes before it. Waits as long as the hub asks before it comes back.
 *
 * @throws Failure if the first connection fails, and whenever the hub refuses for good
 */
export async function* follow(remote: Remote, following: Following): AsyncGenerator<Item> {
  const reader = new Reader(remote, following)
  let failures = 0
  let hasConnected = false
  for (;;) {
    let waitMs: number
    let why = 'the hub has ended the stream'
    try {
      for await (const item of reader.connection()) {
        hasConnected = true
        failures = 0
        if (item) yield item
      }
      if (reader.isDone) return
      hasConnected = true
      waitMs = reader.retryMs
    } catch (cause) {
      const failure = cause instanceof Failure ? cause : unreachable(remote.url, cause)
      if (failure.exit !== EXIT.unavailable || !hasConnected) throw failure
      why = failure.message
      const backoffMs = Math.min(reader.retryMs * 2 ** failures++, Math.max(MAX_WAIT_MS, reader.retryMs))
      waitMs = Math.max(failure.retryAfterMs ?? 0, backoffMs)
    }
    following.onWait?.(waitMs, reader.position, why)
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

/** A reader of topics, from one connection to the next. */
class Reader {
  /** The position to resume after; undefined until the hub has said one. */
  position: string | undefined
  /** How long the hub asks to wait before the next connection. */
  retryMs = RETRY_MS
  /** Whether all topics are closed, and everything before was read. */
  isDone = false
  readonly #remote: Remote
  readonly #following: Following
  readonly #open: Set<string>
  readonly #silence = new Silence()

  constructor(remote: Remote, following: Following) {
    this.#remote = remote
    this.#following = following
    this.#open = new Set(following.topics)
    this.position = following.after
  }

  /** Reads one connection to its end. Yields undefined for frames that contain nothing for a reader. */
  async *connection(): AsyncGenerator<Item | undefined> {
    const signal = this.#silence.begin()
    try {
      const answer = await this.#remote.request(`/event?${this.#query()}`, {
        headers: {
          accept: 'text/event-stream',
          ...(this.position !== undefined && { 'last-event-id': this.position }),
        },
        signal,
      })
      // 204: all topics were closed before the position.
      this.isDone = answer.status === 204
      if (!answer.body || this.isDone) return
      for await (const message of this.#messages(answer.body)) {
        yield itemOf(message)
        this.#note(message)
        if (this.isDone) return
      }
    } finally {
      this.#silence.end()
    }
  }

  #query(): URLSearchParams {
    const query = new URLSearchParams(this.#following.topics.map((topic) => ['topic', topic]))
    query.set('envelope', 'true')
    // A beginning counts until there is a position: repeated after that, it would bring events again.
    if (this.position === undefined)
      for (const [name, value] of Object.entries(this.#following.beginning)) query.set(name, value)
    return query
  }

  async *#messages(body: ReadableStream<Uint8Array>): AsyncGenerator<EventSourceMessage> {
    const arrived: EventSourceMessage[] = []
    const parser = createParser({
      maxBufferSize: MAX_EVENT,
      onEvent: (message) => {
        arrived.push(message)
        if (message.event === 'hub.checkpoint') this.#silence.learn()
      },
      onComment: () => this.#silence.learn(),
      onRetry: (ms) => {
        this.retryMs = Math.min(ms, MAX_RETRY_MS)
      },
      onError: (error) => {
        if (error.type === 'max-buffer-size-exceeded') throw new Failure('Cannot read an event: it is too long')
      },
    })
    const decoder = new TextDecoder()
    for await (const bytes of body) {
      parser.feed(decoder.decode(bytes, { stream: true }))
      this.#silence.heard()
      yield* arrived.splice(0)
    }
  }

  #note({ event, data, id }: EventSourceMessage): void {
    // The id of a `hub.open` with a gap is where the stream goes on after the gap, which only the next frame reports.
    if (id !== undefined && !(event === 'hub.open' && JSON.parse(data).state === 'gap')) this.position = id
    if (event === 'hub.closed') this.#open.delete(JSON.parse(data).topic)
    this.isDone = this.#open.size === 0
  }
}

/**
 * Aborts a connection on which nothing arrives for too long. The hub may have longer heartbeats: a stream that falls silent doubles the
 * limit for the next, and a heartbeat sets it to twice the time that it took.
 */
class Silence {
  #limitMs = SILENCE_MS
  #abort = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined
  /** When something was last heard on this connection. */
  #heardAt: number | undefined

  /** Begins a connection. @returns aborts it */
  begin(): AbortSignal {
    this.#abort = new AbortController()
    this.#heardAt = undefined
    this.#listen()
    return this.#abort.signal
  }

  heard(): void {
    this.#heardAt = performance.now()
    this.#listen()
  }

  /** Call it for a heartbeat, a comment or a checkpoint, before `heard`. The first comment is none, because every stream begins with it. */
  learn(): void {
    if (this.#heardAt !== undefined) this.#limitMs = Math.max(SILENCE_MS, 2 * (performance.now() - this.#heardAt))
  }

  /** Ends the connection, if it has not ended. */
  end(): void {
    clearTimeout(this.#timer)
    this.#abort.abort()
  }

  #listen(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#fallSilent(), this.#limitMs)
  }

  #fallSilent(): void {
    if (this.#heardAt !== undefined) this.#limitMs = Math.min(2 * this.#limitMs, MAX_SILENCE_MS)
    this.end()
  }
}

function itemOf({ event = 'message', data, id }: EventSourceMessage): Item | undefined {
  if (event === 'hub.gap') return { gap: JSON.parse(data) }
  if (event === 'hub.closed') return { closed: JSON.parse(data) }
  if (event.startsWith('hub.')) return
  return { event: { ...(id !== undefined && { id }), ...(JSON.parse(data) as Event) } }
}
