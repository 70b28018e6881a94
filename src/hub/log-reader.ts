import { AppError } from '../errors.ts'
import type { Entry, Log, Page, TopicState } from '../log/log.ts'
import { Filter } from '../topic.ts'
import type { Close } from './closed-topics.ts'
import type { HubEvents } from './events.ts'

/** How long the hub is not ready after a failed read. Longer than the default `RETRY`: a client that reconnects finds it not ready. */
const FAILING_MS = 5000
/** How long a check relies on the last check that succeeded. */
const CHECK_MS = 1000

/** Most topics in one page of a listing. */
const PAGE = 1000

const DONE = { outcome: 'done' } as const
const ANYTHING = Filter.parse(['**'])

/** A log, and the hub's reader of it. */
export interface ReadableLog {
  readonly log: Log
  readonly logReader: LogReader
}

/**
 * Everything that a hub reads from its log. A failed read is an error for the caller, never an empty result. The failure is also reported,
 * and the hub is not ready for `FAILING_MS`.
 */
export class LogReader {
  readonly #log: Log
  readonly #events: HubEvents
  #failure: { readonly error: AppError; readonly at: number } | undefined
  #reportedAt = Number.NEGATIVE_INFINITY
  #checkedAt = Number.NEGATIVE_INFINITY

  constructor(log: Log, events: HubEvents) {
    this.#log = log
    this.#events = events
  }

  /** See `Log.read`. @throws AppError `log_unavailable`, `log_unusable` */
  read(...given: Parameters<Log['read']>): Promise<Page> {
    return this.#log.read(...given).catch((cause) => this.#fail(cause))
  }

  /** See `Log.seek`. @throws AppError `log_unavailable`, `log_unusable` */
  seek(...given: Parameters<Log['seek']>): Promise<number> {
    return this.#log.seek(...given).catch((cause) => this.#fail(cause))
  }

  /** See `Log.topics`. @throws AppError `log_unavailable`, `log_unusable` */
  topics(...given: Parameters<Log['topics']>): ReturnType<Log['topics']> {
    return this.#log.topics(...given).catch((cause) => this.#fail(cause))
  }

  /** Topics that have kept entries or are closed, by name, a page at a time. @throws AppError `log_unavailable`, `log_unusable` */
  async *pagesOfTopics(prefix: string, after = ''): AsyncGenerator<readonly TopicState[], void, undefined> {
    for (let last = after; ; ) {
      const page = await this.topics({ prefix, after: last, limit: PAGE })
      yield page
      if (page.length < PAGE) return
      last = page.at(-1)!.topic
    }
  }

  /** The closes of the named topics that are closed. @throws AppError `log_unavailable`, `log_unusable` */
  async closed(names: Iterable<string>): Promise<ReadonlyMap<string, Close>> {
    const states = await this.topics({ names })
    const closes = states
      .filter(({ closed }) => closed > 0)
      .map(({ topic, closed: seq, outcome = DONE }) => ({ topic, seq, outcome }))
    return new Map(closes.map((close) => [close.topic, close]))
  }

  /** The newest entry of a topic, if there is one. @throws AppError `log_unavailable`, `log_unusable` */
  async newest(topic: string): Promise<Entry | undefined> {
    const { entries } = await this.read(0, { count: 1, bytes: 1, latest: true }, Filter.parse([topic]))
    return entries[0]
  }

  /** @throws the AppError of a read that failed within the last `FAILING_MS` */
  assertWorking(): void {
    if (this.#failure && performance.now() - this.#failure.at < FAILING_MS) throw this.#failure.error
  }

  /** Resolves if the log can be read. @param head the log's newest seq. @throws AppError `log_unavailable`, `log_unusable` */
  async check(head: number): Promise<void> {
    if (performance.now() - this.#checkedAt < CHECK_MS) return
    await this.read(Math.max(0, head - 1), { count: 1, bytes: 1 }, ANYTHING)
    this.#checkedAt = performance.now()
  }

  #fail(cause: unknown): never {
    const error =
      cause instanceof AppError
        ? cause
        : new AppError('log_unusable', 'Cannot read the log now', { cause, retryAfterS: 5 })
    const now = performance.now()
    this.#failure = { error, at: now }
    if (now - this.#reportedAt >= FAILING_MS) {
      this.#reportedAt = now
      this.#events.failed?.('Cannot read the log', cause)
    }
    throw error
  }
}
