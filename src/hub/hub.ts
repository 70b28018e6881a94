import { AppError } from '../errors.ts'
import type { Durability, Entry, Log, Message, Receipt } from '../log/log.ts'
import { Filter, STORE } from '../topic.ts'
import { Turns } from '../turn.ts'
import { Admission } from './admission.ts'
import type { HubContext } from './context.ts'
import type { Delivered } from './delivered.ts'
import { Directory } from './directory.ts'
import { Entries, type EntriesOptions } from './entries.ts'
import { DEFAULT_MESSAGE, Frame, storeData } from './frame.ts'
import { checkLength } from './frame-length.ts'
import { type HubInside, INSIDE } from './inside.ts'
import { InternalTopics, type Published } from './internal.ts'
import { LogReader } from './log-reader.ts'
import { checkKey, checkText, parseMessage } from './message.ts'
import { defaultHubOptions, type HubOptions, type SubscribeOptions } from './options.ts'
import { formatPosition, parsePosition } from './position.ts'
import { Programs } from './programs.ts'
import { type FollowedLog, Readers } from './readers.ts'
import type { Subscription } from './subscription.ts'
import { Window } from './window.ts'

/**
 * Publishes to one log, follows it, and wakes the readers that an entry concerns.
 *
 * @example
 * const hub = new Hub(memoryLog)
 * const news = await hub.subscribe(Filter.parse(['news/*']))
 * await hub.publish({ topic: 'news/today', data: 'It works' })
 * for await (const bytes of news!) console.log(new TextDecoder().decode(bytes))
 */
export class Hub {
  readonly #openLog: () => Log | Promise<Log>
  #options: HubOptions
  #opening: Promise<FollowedLog> | undefined
  /** The log, once it is open. */
  #log: Log | undefined
  readonly #admission = new Admission(() => this.#options)
  readonly #readers = new Readers(() => this.#options, this.#admission)
  /** How often the hub's log was replaced by another. */
  #restarts = 0
  /** The check that is under way, if there is one. */
  #checking: Promise<void> | undefined
  readonly #programs = new Programs()
  /** @internal */
  readonly [INSIDE]: HubInside = {
    topics: new InternalTopics(
      () => this.#opened(),
      (messages) => this.#append(messages),
    ),
    log: async () => (await this.#opened()).log,
    restarts: () => this.#restarts,
    limits: () => this.#options,
    take: async (...taken) => (await this.#opened()).log.peers?.take(...taken),
    isId: async (text) => parsePosition(text)?.epoch === (await this.#opened()).log.epoch,
    change: async (subscription, filter) => {
      await this.#opened()
      await this.#readers.change(subscription, filter)
    },
    admitBody: () => this.#admission.admitBody(),
  }
  /** The topics of the log. */
  readonly directory = new Directory(
    () => this.#opened(),
    (topic) => this.#readers.of(topic),
  )

  /** @param openLog called at the first use of the hub, unless `use` has given it a log. After a failure the next use calls it again */
  constructor(openLog: () => Log | Promise<Log>, options: Partial<HubOptions> = {}) {
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

  /** How many streams are open. */
  get readers(): number {
    return this.#readers.size
  }

  /** What an acknowledged publish survives. Returned without a promise if the log is open. */
  durability(): Durability | Promise<Durability> {
    return this.#log?.durability ?? this.#opened().then(({ log }) => log.durability)
  }

  /**
   * Appends a message, or a list of them, all or none, and resolves when they are as durable as the log declares.
   *
   * @throws AppError of `parseMessage` and of `Log.append`
   */
  publish(message: Message): Promise<Published>
  publish(messages: readonly Message[]): Promise<readonly Published[]>
  async publish(given: Message | readonly Message[]): Promise<Published | readonly Published[]> {
    if (isList(given))
      return this.#append(given.map((message, i) => this.#parse(message, given.length > 1 ? i : undefined)))
    const [published] = await this.#append([this.#parse(given, undefined)])
    return published!
  }

  /** Sets the store's message. @throws AppError `message_invalid`, `event_too_large`, `key_invalid`, and those of `Log.append` */
  async set(message: string, key?: string): Promise<Published> {
    checkText(message)
    checkLength({ topic: STORE, data: storeData(message, 0) }, this.#options.maxEventBytes)
    if (key !== undefined) checkKey(key)
    const [published] = await this.#append([{ topic: STORE, data: message, ...(key !== undefined && { key }) }])
    return published!
  }

  /**
   * Opens a stream of the messages that the filter matches. The stream begins after `lastEventId`, else at `from`, else with the next
   * message. Resolves with undefined if all topics were closed at or before `lastEventId`, or if `signal` has aborted.
   *
   * @throws AppError `draining`, `overloaded`, `too_many_readers`, `too_many_replays`, and those of `Log.read`
   * @throws AppError `gap`: with `control: false`, some of the asked entries cannot be delivered
   * @throws AppError `parameter_invalid`: `repeatMs` with a filter that is not exactly one topic
   */
  async subscribe(filter: Filter, options: SubscribeOptions = {}): Promise<Subscription | undefined> {
    return this.#subscribe(filter, options, false)
  }

  /** Opens the demo's stream: the store's value at once, every second, and whenever it changes. @throws AppError of `subscribe` */
  async watch(options: WatchOptions = {}): Promise<Subscription> {
    return (await this.#subscribe(Filter.parse([STORE]), { ...options, repeatMs: 1000 }, true))!
  }

  /**
   * Iterates over the entries of topics and patterns, from the oldest kept one on, and over the gaps between them. `after` begins behind
   * an id; `until` ends with what there is now, or once the topics are closed. Only a page of entries is in memory at a time.
   *
   * @throws AppError of `Filter.parse`; `parameter_invalid`: `until: 'closed'` with a pattern
   * @throws AppError from the iterator: `draining` once the hub is closed, and those of `Log.read`
   */
  entries(topics: Filter | string | readonly string[], options: EntriesOptions = {}): AsyncIterableIterator<Delivered> {
    const isFilter = typeof topics === 'object' && 'matches' in topics // `instanceof` is false for a filter of another copy
    const filter = isFilter ? topics : Filter.parse([topics].flat(), this.#options)
    return new Entries(filter, options, { opened: () => this.#opened(), programs: this.#programs })
  }

  /** Sentences that tell the operator what to repair although the hub works. */
  async warnings(): Promise<readonly string[]> {
    return (await this.#opened()).log.warnings
  }

  /** Resolves if the hub can take messages and readers now. @throws AppError `draining`, `log_unavailable`, `log_unusable` */
  async check(): Promise<void> {
    this.#admission.assertOpen()
    const { log, logReader, context } = await this.#opened()
    logReader.assertWorking()
    // Anybody may ask for a check at any rate, so callers share the check that is under way.
    this.#checking ??= log
      .check()
      .then(() => logReader.check(context.window.head))
      .finally(() => {
        this.#checking = undefined
      })
    await this.#checking
  }

  /** Trims what is too old, see `Log.sweep`. */
  async sweep(): Promise<void> {
    await (await this.#opened()).log.sweep?.()
  }

  /**
   * Refuses new streams and streamed bodies, and ends each open stream once it has sent what is due. Readers are told to come back at
   * different times.
   */
  drain(): void {
    this.#admission.drain()
    this.#readers.finish('shutdown', false)
  }

  /** Ends every stream and every iteration, and closes the log. */
  async close(): Promise<void> {
    this.#admission.drain()
    this.#readers.close()
    this.#programs.close()
    if (this.#opening) await (await this.#opening).log.close()
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
    const { events } = this.#options
    const began = events?.appended ? performance.now() : 0
    const receipts = await log.append(messages)
    events?.appended?.(receipts.filter(({ duplicate }) => !duplicate).length, performance.now() - began)
    return receipts.map(({ seq, duplicate }: Receipt) => ({ id: formatPosition(log.epoch, seq), duplicate }))
  }

  async #subscribe(filter: Filter, options: SubscribeOptions, isDemo: boolean): Promise<Subscription | undefined> {
    if (options.repeatMs !== undefined && (filter.topics.size !== 1 || filter.patterns.length > 0))
      throw new AppError('parameter_invalid', 'Cannot repeat here: repeat goes with exactly one topic, no pattern')
    return this.#readers.join(filter, options, isDemo, await this.#opened())
  }

  #opened(): Promise<FollowedLog> {
    this.#opening ??= this.#openAnew().catch((cause) => {
      this.#opening = undefined // the next use tries again
      throw cause
    })
    return this.#opening
  }

  async #openAnew(): Promise<FollowedLog> {
    return this.#open(await this.#openLog())
  }

  async #open(log: Log): Promise<FollowedLog> {
    let opened: FollowedLog | undefined
    const head = await log.follow(
      (entries) => this.#deliver(entries, log, opened!.context.window),
      (topic, seq, upTo) => this.#forget(topic, seq, upTo, opened!),
      (head) => {
        this.#restarts++
        opened = this.#openAt(head, log)
        this.#restart(opened)
      },
    )
    opened = this.#openAt(head, log)
    this.#log = log
    this.directory.answerPeers(log)
    return opened
  }

  #openAt(head: number, log: Log): FollowedLog {
    const { windowCount, windowBytes } = this.#options
    const window = new Window(head, windowCount, windowBytes)
    const initial: Entry = { topic: STORE, data: DEFAULT_MESSAGE, seq: 0, time: Date.now() }
    const events = this.#options.events ?? {}
    const logReader = new LogReader(log, events)
    const context: HubContext = {
      ...this.#options,
      events,
      epoch: log.epoch,
      logReader,
      window,
      replays: this.#admission.replays,
      wheel: this.#readers.wheel,
      shared: this.#readers.shared,
      turns: new Turns(),
    }
    const restarts = this.#restarts
    return { log, logReader, initial, context, isCurrent: () => this.#restarts === restarts }
  }

  /** Ends every stream, because nobody knows what its reader has missed. A reader that comes back with its position gets a `hub.gap`. */
  #restart(opened: FollowedLog): void {
    this.#opening = Promise.resolve(opened)
    this.#readers.finish('replaced', true)
    this.#readers.forgetAll()
    this.#programs.wakeAll()
    this[INSIDE].topics.deliverAgain(() => opened.isCurrent() && !this.#admission.isDraining)
  }

  /** Removes erased entries from memory. A topic whose history was erased is open again. */
  #forget(topic: string, seq: number | undefined, upTo: number, { logReader, context }: FollowedLog): void {
    context.window.clear()
    if (seq === undefined) this.#readers.reopen(topic, upTo)
    this.#readers.forget(topic, logReader)
  }

  #deliver(entries: readonly Entry[], log: Log, window: Window): void {
    const before = window.head
    const frames = entries.map((entry) => new Frame(entry, log.epoch))
    for (const frame of frames) window.push(frame)
    for (const entry of entries) {
      this.#readers.noteNewest(entry)
      this[INSIDE].topics.deliver(entry)
    }
    const isWhole = entries.every(({ seq }, i) => seq === before + 1 + i)
    const topics = new Set(entries.map(({ topic }) => topic))
    this.#readers.wake(frames, topics, before, isWhole)
    this.#programs.wake(topics, before, isWhole)
  }
}

type WatchOptions = Pick<SubscribeOptions, 'lastEventId' | 'envelope' | 'drop' | 'onEnd' | 'expiresAt'>

function isList(given: Message | readonly Message[]): given is readonly Message[] {
  return Array.isArray(given)
}
