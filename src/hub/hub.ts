import { AppError } from '../errors.ts'
import type { Entry, Log, Message, Receipt } from '../log/log.ts'
import { Filter, STORE } from '../topic.ts'
import { DEFAULT_MESSAGE, encodeEntry, storeData } from './frame.ts'
import { type Group, Interests } from './interests.ts'
import { checkText, MIN_RETRY_MS, parseMessage } from './message.ts'
import { formatPosition, type Position, parsePosition } from './position.ts'
import { Repeats } from './repeats.ts'
import { type Feed, Subscription } from './subscription.ts'
import { Wheel } from './wheel.ts'
import { Window } from './window.ts'

/** How a hub delivers; the defaults are of `defaultHubOptions`. */
export interface HubOptions {
  /** Most UTF-8 bytes of one event's data. Clients built on Go's Scanner fail at lines above 64 KiB. */
  readonly maxEventBytes: number
  /** Most bytes handed to a reader at once, unless one frame alone is longer. */
  readonly maxChunkBytes: number
  /** How many of the newest frames, and bytes of them, stay in memory for readers to catch up from. */
  readonly windowCount: number
  readonly windowBytes: number
  /** A stream that has said nothing for so long says a comment, or where its reader stands. */
  readonly heartbeatMs: number
  /** A stream is ended after so long, ± 20 %; its reader comes back. It is the one sure way to find a peer that is gone. */
  readonly lifetimeMs: number
  /** A reader that has not taken its chunk for so long is cut off. */
  readonly stallMs: number
  /** What `retry:` tells clients: after how long to reconnect. */
  readonly retryMs: number
}

export const defaultHubOptions: HubOptions = {
  maxEventBytes: 60 * 1024,
  maxChunkBytes: 64 * 1024,
  windowCount: 10_000,
  windowBytes: 8 * 1024 ** 2,
  heartbeatMs: 15_000,
  lifetimeMs: 15 * 60_000,
  stallMs: 30_000,
  retryMs: 3000,
}

/** Readers that may come back in one second after a drain, and the longest they are spread over. */
const RETURNS_PER_SECOND = 500
const LONGEST_SPREAD_MS = 30_000

export interface SubscribeOptions {
  /** What the client sent as `Last-Event-ID`; empty is none. What is no position gets a `hub.gap`, never an error. */
  readonly lastEventId?: string
  /** Says the newest entry again every so many ms; for a filter of one topic. */
  readonly repeatMs?: number
  /** Called when the hub gives up on a reader that does not drain: cut its connection. */
  readonly drop?: () => void
}

/** A published message's place. */
export interface Published {
  /** Its position: the `id` that readers get. */
  readonly id: string
  /** Its key was known: it had been published before, and this is where. */
  readonly duplicate: boolean
}

interface Opened {
  readonly log: Log
  readonly window: Window
  readonly feed: Feed
  /** What the store holds before its first message. */
  readonly initial: Entry
}

/**
 * Follows one log and wakes whom an entry concerns.
 *
 * @example
 * const hub = new Hub(memoryLog)
 * const news = await hub.subscribe(Filter.parse(['news/*']))
 * await hub.publish([{ topic: 'news/today', data: 'It works' }])
 * for await (const bytes of news!) console.log(new TextDecoder().decode(bytes))
 */
export class Hub {
  readonly #openLog: () => Log
  #options: HubOptions
  #opening: Promise<Opened> | undefined
  #draining = false
  readonly #interests = new Interests()
  readonly #repeats = new Repeats()
  readonly #wheel = new Wheel()
  readonly #readers = new Set<Subscription>()

  /** @param openLog called at the first use, unless `use` gave a log before: making a hub does nothing */
  constructor(openLog: () => Log, options: Partial<HubOptions> = {}) {
    this.#openLog = openLog
    this.#options = { ...defaultHubOptions, ...options }
  }

  /** Gives the hub its log, once and before anything else. */
  async use(log: Log, options: Partial<HubOptions> = {}): Promise<void> {
    if (this.#opening) throw new Error('Cannot use another log: the hub has one already')
    this.#options = { ...this.#options, ...options }
    this.#opening = this.#open(log)
    await this.#opening
  }

  /** Open streams. */
  get readers(): number {
    return this.#readers.size
  }

  async durability(): Promise<Log['durability']> {
    return (await this.#opened()).log.durability
  }

  /**
   * Appends messages, all or none, and resolves when they are as durable as the log declares.
   *
   * @throws AppError of `parseMessage` and of `Log.append`
   */
  async publish(messages: readonly Message[]): Promise<readonly Published[]> {
    return this.#append(messages.map((message) => parseMessage(message, this.#options.maxEventBytes)))
  }

  /** Sets the store's message. @throws AppError `message_invalid`, `event_too_large`, and those of `Log.append` */
  async set(message: string): Promise<Published> {
    checkText(message, this.#options.maxEventBytes)
    checkText(storeData(message, 0), this.#options.maxEventBytes)
    const [published] = await this.#append([{ topic: STORE, data: message }])
    return published!
  }

  /**
   * Opens a stream of what the filter matches: after `lastEventId` if there is one, else of what is published from now on.
   * Resolves with nothing if nothing can come any more: all topics are closed, and the position is at or after every close.
   *
   * @throws AppError `draining`, `parameter_invalid` (`repeatMs` with more than one topic)
   */
  async subscribe(filter: Filter, options: SubscribeOptions = {}): Promise<Subscription | undefined> {
    return this.#subscribe(filter, options, false)
  }

  /** Opens the seed's stream: the store's value at once, every second, and whenever it changes. @throws AppError `draining` */
  async watch({ lastEventId, drop }: Omit<SubscribeOptions, 'repeatMs'> = {}): Promise<Subscription> {
    const options = { repeatMs: 1000, ...(lastEventId && { lastEventId }), ...(drop && { drop }) }
    return (await this.#subscribe(Filter.parse([STORE]), options, true))!
  }

  /** Throws unless the hub can take messages and readers now. @throws AppError `draining`, `log_unusable` */
  async check(): Promise<void> {
    if (this.#draining) throw draining()
    await (await this.#opened()).log.check()
  }

  /** Takes no new streams and ends the open ones, once what is due is sent, spread so that readers do not come back together. */
  drain(): void {
    this.#draining = true
    const spread = Math.min(LONGEST_SPREAD_MS, (this.#readers.size / RETURNS_PER_SECOND) * 1000)
    for (const reader of this.#readers) reader.finish(Math.round(MIN_RETRY_MS + Math.random() * spread))
  }

  /** Ends every stream and closes the log. */
  async close(): Promise<void> {
    this.#draining = true
    for (const reader of this.#readers) reader.close()
    if (this.#opening) await (await this.#opening).log.close()
  }

  async #append(messages: readonly Message[]): Promise<readonly Published[]> {
    const { log } = await this.#opened()
    const receipts = await log.append(messages)
    return receipts.map(({ seq, duplicate }: Receipt) => ({ id: formatPosition(log.epoch, seq), duplicate }))
  }

  async #subscribe(filter: Filter, options: SubscribeOptions, seed: boolean): Promise<Subscription | undefined> {
    if (this.#draining) throw draining()
    if (options.repeatMs !== undefined && (filter.topics.size !== 1 || filter.patterns.length > 0))
      throw new AppError('parameter_invalid', 'Cannot repeat here: repeat goes with exactly one topic, no pattern')
    const { log, feed, initial } = await this.#opened()
    const asked = options.lastEventId ? (parsePosition(options.lastEventId) ?? 'unknown') : undefined
    // Joined before anything is read, so that what is published meanwhile is noted; and left again if the reading fails.
    const group = this.#interests.join(filter)
    const [topic] = filter.topics
    const repeated = options.repeatMs === undefined ? undefined : topic
    const leave = (subscription?: Subscription) => this.#leave(group, repeated, subscription)
    try {
      const repeat = repeated === undefined ? undefined : await this.#repeatOf(repeated, log, initial)
      const closed = await log.closed(filter.topics)
      if (this.#draining) throw draining()
      if (isOver(filter, asked, closed, log.epoch)) {
        leave()
        return
      }
      const subscription = new Subscription(feed, {
        ...{ group, asked, closed, seed, leave },
        ...(repeat && { repeat: { of: repeat, everyMs: options.repeatMs! } }),
        lifetimeMs: this.#options.lifetimeMs * (0.8 + Math.random() * 0.4),
        drop: options.drop ?? (() => {}),
      })
      this.#readers.add(subscription)
      this.#wheel.add(subscription, subscription.nextTick)
      return subscription
    } catch (cause) {
      leave()
      throw cause
    }
  }

  #leave(group: Group, repeated: string | undefined, subscription: Subscription | undefined): void {
    this.#interests.leave(group)
    if (repeated !== undefined) this.#repeats.leave(repeated)
    if (!subscription) return
    this.#readers.delete(subscription)
    this.#wheel.remove(subscription)
  }

  async #repeatOf(topic: string, log: Log, initial: Entry) {
    const repeat = this.#repeats.join(topic)
    if (!repeat.entry) {
      const newest = await log.newest(topic)
      if (newest) this.#repeats.note(newest)
      else if (topic === STORE) this.#repeats.note(initial)
    }
    return repeat
  }

  #opened(): Promise<Opened> {
    this.#opening ??= this.#open(this.#openLog())
    return this.#opening
  }

  async #open(log: Log): Promise<Opened> {
    const { windowCount, windowBytes, maxChunkBytes, heartbeatMs, stallMs, retryMs } = this.#options
    let window: Window | undefined
    const head = await log.follow((entries) => this.#deliver(entries, log, window!))
    window = new Window(head, windowCount, windowBytes)
    const initial: Entry = { topic: STORE, data: DEFAULT_MESSAGE, seq: 0, time: Date.now() }
    return { log, window, initial, feed: { log, window, maxChunkBytes, heartbeatMs, stallMs, retryMs } }
  }

  #deliver(entries: readonly Entry[], log: Log, window: Window): void {
    const before = window.head
    const topics = new Set<string>()
    for (const entry of entries) {
      window.push(encodeEntry(entry, log.epoch))
      this.#repeats.note(entry)
      topics.add(entry.topic)
    }
    const concerned = new Set<Group>()
    for (const topic of topics) this.#interests.concerned(topic, concerned)
    for (const group of concerned) group.wake(before)
  }
}

/** Whether a reader at this position has been told everything that its filter can ever give. */
function isOver(
  filter: Filter,
  asked: Position | 'unknown' | undefined,
  closed: ReadonlyMap<string, number>,
  epoch: string,
): boolean {
  if (asked === undefined || asked === 'unknown' || asked.epoch !== epoch) return false
  if (filter.patterns.length > 0 || closed.size < filter.topics.size) return false
  return [...closed.values()].every((seq) => seq <= asked.seq)
}

function draining(): AppError {
  return new AppError('draining', 'Cannot open a stream: the hub is shutting down, come back in a few seconds')
}
