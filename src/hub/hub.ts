import { AppError, quote } from '../errors.ts'
import type { Beginning, Durability, Entry, Log, Message, Receipt, TopicState } from '../log/log.ts'
import { defaultTopicLimits, Filter, isOwn, STORE } from '../topic.ts'
import { Turns } from '../turn.ts'
import type { HubEvents } from './events.ts'
import { DEFAULT_MESSAGE, Frame, storeData } from './frame.ts'
import { type Group, Interests } from './interests.ts'
import { checkKey, checkText, type MessageLimits, MIN_RETRY_MS, parseMessage } from './message.ts'
import { formatPosition, type Position, parsePosition } from './position.ts'
import { Reads } from './reads.ts'
import { Repeats } from './repeats.ts'
import { SharedChunks } from './shared.ts'
import { type Feed, type Opening, randomName, Subscription } from './subscription.ts'
import { Wheel } from './wheel.ts'
import { Window } from './window.ts'

/** How a hub delivers; the defaults are of `defaultHubOptions`. */
export interface HubOptions extends MessageLimits {
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
  /** Most open streams. */
  readonly maxReaders: number
  /** Whether memory is so short that no new stream is taken, where somebody can tell. */
  readonly isShort?: () => boolean
  /** Most readers that are given history from the log at once. One that falls behind while it is open is not counted out. */
  readonly maxReplays: number
  /** Most events a second that one reader is given from the log, so that history does not starve who is live. */
  readonly replayRate: number
  /** Told of what goes wrong. */
  readonly events?: HubEvents
}

export const defaultHubOptions: HubOptions = {
  ...defaultTopicLimits,
  maxEventBytes: 60 * 1024, // clients built on Go's Scanner fail at lines above 64 KiB
  maxChunkBytes: 64 * 1024,
  windowCount: 10_000,
  windowBytes: 8 * 1024 ** 2,
  heartbeatMs: 15_000,
  lifetimeMs: 15 * 60_000,
  stallMs: 30_000,
  retryMs: 3000,
  maxReaders: 50_000,
  maxReplays: 1000,
  replayRate: 10_000,
}

/** Readers that may come back in one second after a drain, and the longest they are spread over. */
const RETURNS_PER_SECOND = 500
const LONGEST_SPREAD_MS = 30_000
/** Between attempts to tell observers of a log that was replaced. */
const AGAIN_MS = 500

/** Topics that one step of a listing looks at. */
const LISTED = 1000

export interface SubscribeOptions {
  /** What the client sent as `Last-Event-ID`; empty is none. What is no position gets a `hub.gap`, never an error. */
  readonly lastEventId?: string
  /** Where to begin without a `lastEventId`: at the oldest kept entry, at the newest so many, or at a time; else at the head. */
  readonly from?: 'earliest' | Beginning
  /** Gives a reader that is behind only the newest event of each topic. */
  readonly latest?: boolean
  /** With `latest`: tells with a `hub.gap` of reason `conflated` what was passed over. */
  readonly gaps?: boolean
  /** Says the newest entry again every so many ms; for a filter of one topic. */
  readonly repeatMs?: number
  /** Called when the hub gives up on a reader that does not drain: cut its connection. */
  readonly drop?: () => void
  /** Called once when the stream has ended, for whatever reason. */
  readonly onEnd?: (subscription: Subscription) => void
  /** When it may not go on any longer, in ms since 1970, of which it is told before. */
  readonly expiresAt?: number
}

/** A published message's place. */
export interface Published {
  /** Its position: the `id` that readers get. */
  readonly id: string
  /** Its key was known: it had been published before, and this is where. */
  readonly duplicate: boolean
}

/** A topic as people see it. */
export interface Topic {
  readonly topic: string
  /** Position of its newest entry, kept or gone. */
  readonly lastId: string | null
  /** Entries kept. */
  readonly kept: number
  /** Open streams that it concerns, of all processes that share the log. */
  readonly readers: number
  readonly closed: boolean
}

export interface TopicsQuery {
  /** What the names begin with: in order, none the beginning of another. Only topics of these are looked at. */
  readonly prefixes: readonly string[]
  readonly isShown: (topic: string) => boolean
  /** The name to go on after. */
  readonly after: string
  readonly limit: number
  /** Whoever asked has gone: no more is looked for. */
  readonly signal?: AbortSignal
}

interface Observer {
  readonly prefix: string
  readonly tell: (entry: Entry) => void
}

interface Opened {
  readonly log: Log
  readonly reads: Reads
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
  /** Once it is open. */
  #log: Log | undefined
  #draining = false
  readonly #interests = new Interests()
  readonly #repeats = new Repeats()
  readonly #wheel = new Wheel()
  readonly #shared = new SharedChunks()
  readonly #readers = new Set<Subscription>()
  readonly #replays = { open: 0 }
  readonly #observers: Observer[] = []
  /** How often the log turned out to be another one. */
  #restarts = 0
  /** A check under way. */
  #checking: Promise<void> | undefined

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

  /** How often the log turned out to be another one: what was read of it before is no more. */
  get restarts(): number {
    return this.#restarts
  }

  /** Open streams. */
  get readers(): number {
    return this.#readers.size
  }

  /** Of what is published, at once if the log is open. */
  durability(): Durability | Promise<Durability> {
    return this.#log?.durability ?? this.#opened().then(({ log }) => log.durability)
  }

  /**
   * Appends messages, all or none, and resolves when they are as durable as the log declares.
   *
   * @throws AppError of `parseMessage` and of `Log.append`
   */
  async publish(messages: readonly Message[]): Promise<readonly Published[]> {
    return this.#append(messages.map((message, i) => this.#parse(message, messages.length > 1 ? i : undefined)))
  }

  /** Sets the store's message. @throws AppError `message_invalid`, `event_too_large`, `key_invalid`, and those of `Log.append` */
  async set(message: string, key?: string): Promise<Published> {
    checkText(message, this.#options.maxEventBytes)
    checkText(storeData(message, 0), this.#options.maxEventBytes)
    if (key !== undefined) checkKey(key)
    const [published] = await this.#append([{ topic: STORE, data: message, ...(key !== undefined && { key }) }])
    return published!
  }

  /**
   * Opens a stream of what the filter matches: after `lastEventId` if there is one, else of what is published from now on.
   * Resolves with nothing if nothing can come any more: all topics are closed, and the position is at or after every close.
   *
   * @throws AppError `draining`, `too_many_readers`, `too_many_replays`, `parameter_invalid` (`repeatMs` with more than one topic)
   */
  async subscribe(filter: Filter, options: SubscribeOptions = {}): Promise<Subscription | undefined> {
    return this.#subscribe(filter, options, false)
  }

  /** Opens the demo's stream: the store's value at once, every second, and whenever it changes. @throws AppError `draining` */
  async watch(options: WatchOptions = {}): Promise<Subscription> {
    return (await this.#subscribe(Filter.parse([STORE]), { ...options, repeatMs: 1000 }, true))!
  }

  /** A page of the topics that are shown, by name, of those that have kept entries or are closed; there may be more if it is full. */
  async topics({ prefixes, isShown, after, limit, signal }: TopicsQuery): Promise<readonly Topic[]> {
    const { log, reads } = await this.#opened()
    const found: TopicState[] = []
    for (const prefix of prefixes)
      for (let last = after; found.length < limit && !signal?.aborted; ) {
        const page = await reads.topics({ prefix, after: last, limit: LISTED })
        found.push(...page.filter(({ topic }) => isShown(topic)))
        if (page.length < LISTED) break
        last = page.at(-1)!.topic
      }
    return this.#topicsOf(found.slice(0, limit), log)
  }

  /** A topic, known or not yet. */
  async topic(name: string): Promise<Topic> {
    const { log, reads } = await this.#opened()
    const [topic] = await this.#topicsOf(await reads.topics({ names: [name] }), log)
    return topic!
  }

  /**
   * Takes so many messages out of a bucket that all processes of the hub share: see `Peers.take`. Resolves with nothing where this is
   * the only one, which can count for itself.
   */
  async take(bucket: string, count: number, perSecond: number): Promise<number | undefined> {
    return (await this.#opened()).log.peers?.take(bucket, count, perSecond)
  }

  /**
   * Erases one event of a topic for good, or with none given all of its history, and reopens it. See `Log.erase`.
   *
   * @returns how many events were erased
   * @throws AppError `forbidden` (a `$` topic), `nothing_to_delete`, and those of `Log.erase`
   */
  async erase(name: string, id?: string): Promise<number> {
    if (isOwn(name)) throw new AppError('forbidden', `Cannot delete from ${quote(name)}: it is the hub's own`)
    const { log, reads } = await this.#opened()
    if (id === undefined) {
      const [state] = await reads.topics({ names: [name] })
      if (state!.count === 0 && state!.closed === 0)
        throw new AppError('nothing_to_delete', `Cannot delete topic ${quote(name)}: there is nothing of it`)
      return log.erase(name)
    }
    const position = parsePosition(id)
    // The log may have been replaced since the id was looked at.
    const erased = position?.epoch === log.epoch ? await log.erase(name, position.seq) : 0
    if (erased === 0)
      throw new AppError('nothing_to_delete', `Cannot delete event ${quote(id)}: topic ${quote(name)} does not have it`)
    return erased
  }

  /** Whether this is the id of an event that this hub's log can have given. */
  async isId(text: string): Promise<boolean> {
    return parsePosition(text)?.epoch === (await this.#opened()).log.epoch
  }

  /** Says something in a topic of the hub's own; with a key it is said once, on whatever node. */
  async own(topic: string, data: string, key?: string): Promise<Published> {
    const [published] = await this.#append([{ topic, data, ...(key !== undefined && { key }) }])
    return published!
  }

  /** Forgets what the hub itself said in a topic of its own. */
  async forget(topic: string): Promise<void> {
    await (await this.#opened()).log.erase(topic)
  }

  /** A random text that this hub made once, under this name, and keeps in its log. Nobody may subscribe to it. */
  async secret(name: string): Promise<string> {
    const { reads } = await this.#opened()
    const topic = `$secrets/${name}`
    const kept = await newestOf(topic, reads)
    if (kept) return kept.data!
    // Of two nodes that make one at the same time, one has the key, and the other takes what that one made.
    await this.own(topic, randomName() + randomName(), name).catch((error) => {
      if (!(error instanceof AppError && error.code === 'key_conflict')) throw error
    })
    return (await newestOf(topic, reads))!.data!
  }

  /** Tells of the newest entry of each of the hub's own topics with a prefix, and of all that come. Resolves when the former are told. */
  async observe(prefix: string, tell: (entry: Entry) => void): Promise<void> {
    const observer = { prefix, tell }
    this.#observers.push(observer)
    await this.#tellNewest(observer).catch((cause) => {
      this.#observers.splice(this.#observers.indexOf(observer), 1) // whoever asks again is another
      throw cause
    })
  }

  async #tellNewest({ prefix, tell }: Observer): Promise<void> {
    const { reads } = await this.#opened()
    for (let after = ''; ; ) {
      const page = await reads.topics({ prefix, after, limit: LISTED })
      for (const { topic } of page) {
        const entry = await newestOf(topic, reads)
        if (entry) tell(entry)
      }
      if (page.length < LISTED) return
      after = page.at(-1)!.topic
    }
  }

  /**
   * Goes on with other topics at the position where a stream is.
   *
   * @throws AppError `stream_unknown` (it has ended), `log_unavailable`, `log_unusable` (it ends, because nobody knows what is closed)
   */
  async change(subscription: Subscription, filter: Filter): Promise<void> {
    await this.#opened()
    subscription.assertOpen()
    await subscription.change(this.#interests.join({ filter, latest: subscription.latest })) // which leaves the group itself
  }

  /** What an operator should mend although the hub works, a sentence each. */
  async warnings(): Promise<readonly string[]> {
    return (await this.#opened()).log.warnings
  }

  /** Throws unless the hub can take messages and readers now. @throws AppError `draining`, `log_unusable` */
  async check(): Promise<void> {
    if (this.#draining) throw draining()
    const { log, reads, window } = await this.#opened()
    reads.assertWorking()
    // Anybody may ask, as often as they like: whoever asks meanwhile gets the same answer.
    this.#checking ??= log
      .check()
      .then(() => reads.check(window.head))
      .finally(() => {
        this.#checking = undefined
      })
    await this.#checking
  }

  /** Takes no new streams and ends the open ones, once what is due is sent, spread so that readers do not come back together. */
  drain(): void {
    this.#draining = true
    this.#sendAway(false)
  }

  /** Ends every stream and closes the log. */
  async close(): Promise<void> {
    this.#draining = true
    for (const reader of this.#readers) reader.close()
    if (this.#opening) await (await this.#opening).log.close()
  }

  /** Ends every stream, spread so that readers do not come back together. */
  #sendAway(isAtOnce: boolean): void {
    const spread = Math.min(LONGEST_SPREAD_MS, (this.#readers.size / RETURNS_PER_SECOND) * 1000)
    for (const reader of this.#readers) reader.finish(Math.round(MIN_RETRY_MS + Math.random() * spread), isAtOnce)
  }

  #parse(message: Message, index: number | undefined): Message {
    try {
      return parseMessage(message, this.#options)
    } catch (error) {
      throw index !== undefined && error instanceof AppError ? error.at(`message ${index} of the list`) : error
    }
  }

  async #append(messages: readonly Message[]): Promise<readonly Published[]> {
    const log = this.#log ?? (await this.#opened()).log
    const receipts = await log.append(messages)
    return receipts.map(({ seq, duplicate }: Receipt) => ({ id: formatPosition(log.epoch, seq), duplicate }))
  }

  async #topicsOf(states: readonly TopicState[], { epoch, peers }: Log): Promise<readonly Topic[]> {
    const names = states.map(({ topic }) => topic)
    const others = names.length === 0 ? undefined : await peers?.ask(JSON.stringify(names))
    const counts = [this.#readersOf(names), ...(others ?? []).map((answer) => JSON.parse(answer) as number[])]
    return states.map(({ topic, last, count, closed }, i) => ({
      topic,
      lastId: last === 0 ? null : formatPosition(epoch, last),
      kept: count,
      readers: counts.reduce((sum, of) => sum + of[i]!, 0),
      closed: closed > 0,
    }))
  }

  /** Open streams here that each topic concerns. */
  #readersOf(names: readonly string[]): number[] {
    return names.map((name) => this.#interests.readers(name))
  }

  async #subscribe(filter: Filter, options: SubscribeOptions, isDemo: boolean): Promise<Subscription | undefined> {
    if (options.repeatMs !== undefined && (filter.topics.size !== 1 || filter.patterns.length > 0))
      throw new AppError('parameter_invalid', 'Cannot repeat here: repeat goes with exactly one topic, no pattern')
    const opened = await this.#opened()
    this.#admit()
    return this.#join(filter, options, isDemo, opened)
  }

  /** @throws AppError `draining`, `overloaded`, `too_many_readers` */
  #admit(): void {
    if (this.#draining) throw draining()
    const { maxReaders, isShort } = this.#options
    if (isShort?.())
      throw new AppError('overloaded', 'Cannot open a stream: memory is short; come back in a moment', {
        retryAfterS: 5,
      })
    if (this.#readers.size >= maxReaders)
      throw new AppError('too_many_readers', `Cannot open a stream: ${maxReaders} are open, which is the most`, {
        retryAfterS: 5,
      })
  }

  /** Registers a reader, which takes the head, and only then looks what was before it: nothing can happen between the two. */
  async #join(
    filter: Filter,
    options: SubscribeOptions,
    isDemo: boolean,
    { log, reads, window, feed, initial }: Opened,
  ): Promise<Subscription | undefined> {
    const restarts = this.#restarts
    const asked = options.lastEventId ? (parsePosition(options.lastEventId) ?? 'unknown') : undefined
    const [topic] = filter.topics
    const repeated = options.repeatMs === undefined ? undefined : topic
    let isOpen = false
    const subscription = new Subscription(feed, {
      group: this.#interests.join({ filter, latest: options.latest === true }),
      ...{ asked, isDemo, gaps: options.gaps === true },
      change: (before) => this.#quit(before),
      leave: (subscription) => {
        this.#leave(subscription, repeated)
        if (isOpen) options.onEnd?.(subscription)
      },
      ...(options.expiresAt !== undefined && { expiresAt: options.expiresAt }),
      lifetimeMs: this.#options.lifetimeMs * (0.8 + Math.random() * 0.4),
      drop: options.drop ?? (() => {}),
    })
    this.#readers.add(subscription)
    this.#wheel.add(subscription, subscription.nextTick)
    try {
      const repeat = repeated === undefined ? undefined : await this.#repeatOf(repeated, reads, initial)
      const history = asked === undefined ? await this.#historyOf(options.from, filter, reads) : undefined
      await subscription.look()
      if (this.#draining) throw draining()
      if (this.#restarts !== restarts)
        throw new AppError('log_unavailable', 'Cannot open a stream: the log has just been replaced; come back', {
          retryAfterS: 1,
        })
      if (subscription.isOver) {
        subscription.close()
        return
      }
      this.#checkReplays(asked, history?.after, window, log)
      subscription.open({
        ...(history && { history }),
        ...(repeat && { repeat: { of: repeat, everyMs: options.repeatMs! } }),
      })
      isOpen = true
      return subscription
    } catch (cause) {
      subscription.close()
      throw cause
    }
  }

  /** Where it begins; to find that counts as a replay, for it may be a search through the whole log. */
  async #historyOf(from: SubscribeOptions['from'], filter: Filter, reads: Reads): Promise<Opening['history']> {
    if (from === undefined) return
    if (from === 'earliest') return { after: 0, vouched: true }
    if (this.#replays.open >= this.#options.maxReplays) throw this.#tooManyReplays()
    this.#replays.open++
    try {
      return { after: await reads.seek(from, filter), vouched: 'last' in from }
    } finally {
      this.#replays.open--
    }
  }

  /** @throws AppError `too_many_replays` if only the log can tell what comes after the position, and it tells too many already */
  #checkReplays(asked: Position | 'unknown' | undefined, after: number | undefined, window: Window, log: Log): void {
    const isForeign = typeof asked === 'object' && asked.epoch !== log.epoch
    const from = isForeign ? 0 : typeof asked === 'object' ? asked.seq : (after ?? window.head)
    if (this.#replays.open >= this.#options.maxReplays && from < window.floor) throw this.#tooManyReplays()
  }

  #tooManyReplays(): AppError {
    const { maxReplays } = this.#options
    const why = `${maxReplays} readers are being given theirs, which is the most at once`
    return new AppError('too_many_replays', `Cannot replay history now: ${why}`, { retryAfterS: 2 })
  }

  #quit(group: Group): void {
    this.#interests.leave(group)
    if (group.size < 2) this.#shared.forget(group)
  }

  #leave(subscription: Subscription, repeated: string | undefined): void {
    this.#quit(subscription.group)
    if (repeated !== undefined) this.#repeats.leave(repeated)
    this.#readers.delete(subscription)
    this.#wheel.remove(subscription)
  }

  async #repeatOf(topic: string, reads: Reads, initial: Entry) {
    const repeat = this.#repeats.join(topic)
    if (!repeat.entry) {
      const newest = await newestOf(topic, reads)
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
    let opened: Opened | undefined
    const head = await log.follow(
      (entries) => this.#deliver(entries, log, opened!.window),
      (topic, seq, upTo) => this.#forget(topic, seq, upTo, opened!),
      (head) => {
        opened = this.#openAt(head, log)
        this.#restart(opened)
      },
    )
    opened = this.#openAt(head, log)
    this.#log = log
    log.peers?.onAsked((names) => JSON.stringify(this.#readersOf(JSON.parse(names))))
    return opened
  }

  #openAt(head: number, log: Log): Opened {
    const { windowCount, windowBytes } = this.#options
    const window = new Window(head, windowCount, windowBytes)
    const initial: Entry = { topic: STORE, data: DEFAULT_MESSAGE, seq: 0, time: Date.now() }
    const reads = new Reads(log, this.#options.events ?? {})
    const feed: Feed = {
      ...this.#options,
      epoch: log.epoch,
      reads,
      window,
      replays: this.#replays,
      wheel: this.#wheel,
      shared: this.#shared,
      turns: new Turns(),
    }
    return { log, reads, window, initial, feed }
  }

  /** Nobody knows any more what an open stream has missed: each ends, and its reader is told when it comes back with its position. */
  #restart(opened: Opened): void {
    this.#opening = Promise.resolve(opened)
    this.#restarts++
    this.#sendAway(true)
    this.#repeats.clear()
    this.#shared.clear()
    for (const observer of this.#observers) void this.#tellAgain(observer)
  }

  /** Tells an observer what there is in the log as it is now, as soon as that can be read. */
  async #tellAgain(observer: Observer): Promise<void> {
    const restarts = this.#restarts
    while (this.#restarts === restarts && !this.#draining) {
      const isTold = await this.#tellNewest(observer).then(
        () => true,
        () => false,
      )
      if (isTold) return
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }

  /** What has been erased is in no memory of ours either; a topic whose history is forgotten is open again. */
  #forget(topic: string, seq: number | undefined, upTo: number, { reads, window }: Opened): void {
    window.clear()
    this.#shared.clear()
    if (seq === undefined) for (const reader of this.#readers) reader.reopen(topic, upTo)
    if (!this.#repeats.forget(topic)) return
    newestOf(topic, reads).then(
      (newest) => newest && this.#repeats.note(newest),
      () => {}, // The log cannot be read: nothing is repeated until something new comes.
    )
  }

  #deliver(entries: readonly Entry[], log: Log, window: Window): void {
    const before = window.head
    const topics = new Set<string>()
    const frames = entries.map((entry) => new Frame(entry, log.epoch))
    for (const frame of frames) window.push(frame)
    for (const entry of entries) {
      this.#repeats.note(entry)
      topics.add(entry.topic)
      for (const { prefix, tell } of this.#observers) if (entry.topic.startsWith(prefix)) tell(entry)
    }
    const concerned = this.#interests.concerned(topics)
    // What was passed over may have been for anybody: each asks the log.
    const isWhole = entries.every(({ seq }, i) => seq === before + 1 + i)
    if (isWhole && frames.length === 1) this.#shared.note(frames[0]!, concerned)
    for (const group of isWhole ? concerned : this.#interests.all()) group.wake(before)
  }
}

type WatchOptions = Pick<SubscribeOptions, 'lastEventId' | 'drop' | 'onEnd' | 'expiresAt'>

async function newestOf(topic: string, reads: Reads): Promise<Entry | undefined> {
  const { entries } = await reads.read(0, { count: 1, bytes: 1, latest: true }, Filter.parse([topic]))
  return entries[0]
}

function draining(): AppError {
  return new AppError('draining', 'Cannot open a stream: the hub is shutting down, come back in a few seconds')
}
