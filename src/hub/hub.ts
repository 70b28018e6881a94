import { AppError } from '../errors.ts'
import type { Durability, Entry, Log, Message, Receipt } from '../log/log.ts'
import { Filter, STORE } from '../topic.ts'
import { Turns } from '../turn.ts'
import { Admission } from './admission.ts'
import type { HubContext } from './context.ts'
import { Directory } from './directory.ts'
import { DEFAULT_MESSAGE, Frame, storeData } from './frame.ts'
import { InternalTopics, type Published } from './internal.ts'
import { LogReader } from './log-reader.ts'
import { checkKey, checkText, parseMessage } from './message.ts'
import { defaultHubOptions, type HubOptions, type SubscribeOptions } from './options.ts'
import { formatPosition, parsePosition } from './position.ts'
import { type FollowedLog, Readers } from './readers.ts'
import type { Subscription } from './subscription.ts'
import { Window } from './window.ts'

/**
 * Publishes to one log, follows it, and wakes the readers that an entry concerns.
 *
 * @example
 * const hub = new Hub(memoryLog)
 * const news = await hub.subscribe(Filter.parse(['news/*']))
 * await hub.publish([{ topic: 'news/today', data: 'It works' }])
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
  /** The hub's own topics, in which auth stores revocations, used tickets and secrets. */
  readonly internal = new InternalTopics(
    () => this.#opened(),
    (messages) => this.#append(messages),
  )
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

  /** How often the hub's log was replaced by another. After a replacement, everything read before it is void. */
  get restarts(): number {
    return this.#restarts
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
   * Opens a stream of the messages that the filter matches. The stream begins after `lastEventId`, else at `from`, else with the next
   * message. Resolves with undefined if all topics were closed at or before `lastEventId`, or if `signal` has aborted.
   *
   * @throws AppError `draining`, `overloaded`, `too_many_readers`, `too_many_replays`, and those of `Log.read`
   * @throws AppError `parameter_invalid`: `repeatMs` with a filter that is not exactly one topic
   */
  async subscribe(filter: Filter, options: SubscribeOptions = {}): Promise<Subscription | undefined> {
    return this.#subscribe(filter, options, false)
  }

  /** Opens the demo's stream: the store's value at once, every second, and whenever it changes. @throws AppError of `subscribe` */
  async watch(options: WatchOptions = {}): Promise<Subscription> {
    return (await this.#subscribe(Filter.parse([STORE]), { ...options, repeatMs: 1000 }, true))!
  }

  /** Takes `count` out of a bucket of all processes of the hub, see `Peers.take`. Resolves with undefined if this is the only one. */
  async take(bucket: string, count: number, perSecond: number): Promise<number | undefined> {
    return (await this.#opened()).log.peers?.take(bucket, count, perSecond)
  }

  /** Whether an id is a position of the log's present epoch. */
  async isId(text: string): Promise<boolean> {
    return parsePosition(text)?.epoch === (await this.#opened()).log.epoch
  }

  /**
   * Gives an open stream other topics. It continues from its position.
   *
   * @throws AppError `stream_unknown`: the stream has ended
   * @throws AppError `log_unavailable`, `log_unusable`: the stream ends, because the log cannot tell which of its topics are closed
   */
  async change(subscription: Subscription, filter: Filter): Promise<void> {
    await this.#opened()
    await this.#readers.change(subscription, filter)
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

  /** Throws while memory is short. Call it before a request that holds memory for long. @throws AppError `overloaded` */
  assertMemory(): void {
    this.#admission.assertMemory('read a streamed body')
  }

  /** Refuses new streams, and ends each open one once it has sent what is due. Readers are told to come back at different times. */
  drain(): void {
    this.#admission.drain()
    this.#readers.finish('shutdown', false)
  }

  /** Ends every stream and closes the log. */
  async close(): Promise<void> {
    this.#admission.drain()
    this.#readers.close()
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
    this.#opening ??= this.#openAnew()
    return this.#opening
  }

  async #openAnew(): Promise<FollowedLog> {
    try {
      return await this.#open(await this.#openLog())
    } catch (cause) {
      this.#opening = undefined // the next use tries again
      throw cause
    }
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
    this.internal.deliverAgain(() => opened.isCurrent() && !this.#admission.isDraining)
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
      this.internal.deliver(entry)
    }
    const isWhole = entries.every(({ seq }, i) => seq === before + 1 + i)
    this.#readers.wake(frames, before, isWhole)
  }
}

type WatchOptions = Pick<SubscribeOptions, 'lastEventId' | 'drop' | 'onEnd' | 'expiresAt'>
