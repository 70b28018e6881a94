import { AppError } from '../errors.ts'
import type { Entry, Log } from '../log/log.ts'
import { type Filter, STORE } from '../topic.ts'
import type { Admission } from './admission.ts'
import type { HubContext } from './context.ts'
import type { Frame } from './frame.ts'
import { type Group, Interests } from './interests.ts'
import type { LogReader } from './log-reader.ts'
import { isInLog, type Lookup } from './opening.ts'
import type { HubOptions, SubscribeOptions } from './options.ts'
import { parsePosition } from './position.ts'
import { Repeats } from './repeats.ts'
import { SharedChunks } from './shared.ts'
import { Subscription } from './subscription.ts'
import { Wheel } from './wheel.ts'

/** A log that the hub follows, and what its readers share. */
export interface FollowedLog {
  readonly log: Log
  readonly logReader: LogReader
  readonly context: HubContext
  /** The store's entry until the first message is sent. */
  readonly initial: Entry
  /** Whether the hub still follows this log: false once another log has replaced it. */
  readonly isCurrent: () => boolean
}

/** The open streams of a hub, and what they share: groups, chunks, repeats and one timer. */
export class Readers {
  readonly wheel = new Wheel((timed, cause) => this.#fail(timed as Subscription, cause))
  readonly shared = new SharedChunks()
  readonly #interests = new Interests()
  readonly #repeats = new Repeats()
  readonly #all = new Set<Subscription>()
  readonly #options: () => HubOptions
  readonly #admission: Admission

  constructor(options: () => HubOptions, admission: Admission) {
    this.#options = options
    this.#admission = admission
  }

  get size(): number {
    return this.#all.size
  }

  /** How many open streams get a topic, by its name or by a pattern. */
  of(topic: string): number {
    return this.#interests.readers(topic)
  }

  /**
   * Registers a stream at the head first, and only then looks up history, closes and the newest entry, so that no entry is lost in
   * between. Resolves with undefined if the stream would have nothing to send, or if the client has gone.
   *
   * @throws AppError `draining`, `too_many_readers`, `too_many_replays`, `overloaded`, those of `Log.read`, and of `beginWhole`
   */
  async join(
    filter: Filter,
    options: SubscribeOptions,
    isDemo: boolean,
    { log, logReader, context, initial, isCurrent }: FollowedLog,
  ): Promise<Subscription | undefined> {
    this.#admission.admit(this.size)
    const { events, lifetimeMs } = this.#options()
    const asked = options.lastEventId ? (parsePosition(options.lastEventId) ?? 'unknown') : undefined
    const [topic] = filter.topics
    const repeated = options.repeatMs === undefined ? undefined : topic
    let isOpen = false
    const assertCurrent = () => {
      if (isCurrent()) return
      throw new AppError('log_unavailable', 'Cannot open a stream: the log has just been replaced; come back', {
        retryAfterS: 1,
      })
    }
    const subscription = new Subscription(context, {
      group: this.#interests.join({
        filter,
        latest: options.latest === true,
        envelope: options.envelope === true,
        control: options.control !== false,
      }),
      ...{ asked, isDemo, gaps: options.gaps === true },
      change: (before) => this.#leaveGroup(before),
      leave: (subscription, why) => {
        this.#leave(subscription, repeated)
        if (!isOpen) return
        options.onEnd?.(subscription)
        events?.ended?.(subscription, why, subscription.failure)
      },
      ...(options.who !== undefined && { who: options.who }),
      ...(options.expiresAt !== undefined && { expiresAt: options.expiresAt }),
      lifetimeMs: lifetimeMs * (0.8 + Math.random() * 0.4),
      drop: options.drop ?? (() => {}),
    })
    this.#all.add(subscription)
    this.wheel.add(subscription, subscription.nextTick)
    try {
      const repeat = repeated === undefined ? undefined : await this.#repeatOf(repeated, logReader, initial)
      const history = asked === undefined ? await this.#historyOf(options, filter, logReader) : undefined
      await subscription.look()
      this.#admission.assertOpen()
      assertCurrent()
      if (subscription.isOver || options.signal?.aborted) {
        subscription.close()
        return
      }
      if (isInLog({ asked, history }, { epoch: log.epoch, joinedAt: context.window.head, floor: context.window.floor }))
        this.#admission.admitReplay()
      isOpen = true
      events?.opened?.(subscription)
      subscription.open({
        ...(history && { history }),
        ...(repeat && { repeat: { of: repeat, everyMs: options.repeatMs! } }),
      })
      if (options.control === false) {
        await subscription.beginWhole()
        this.#admission.assertOpen()
        assertCurrent()
      }
      return subscription
    } catch (cause) {
      subscription.close()
      throw cause
    }
  }

  /** Gives an open stream other topics. It continues from its position. @throws AppError of `Subscription.change` */
  async change(subscription: Subscription, filter: Filter): Promise<void> {
    subscription.assertOpen()
    await subscription.change(this.#interests.join({ ...subscription.group.selection, filter })) // `Subscription.change` leaves the former group
  }

  /** Wakes the readers that entries concern. @param topics those of the frames. @param before the head before these entries. @param isWhole no entry after it is missing */
  wake(frames: readonly Frame[], topics: ReadonlySet<string>, before: number, isWhole: boolean): void {
    const concerned = this.#interests.concerned(topics)
    if (isWhole && frames.length === 1) this.shared.note(frames[0]!, concerned)
    // A missing entry may have been for anybody: each reader asks the log.
    for (const group of isWhole ? concerned : this.#interests.all()) group.wake(before)
  }

  /** Keeps an entry as the repeat of its topic, if a reader wants the topic repeated. */
  noteNewest(entry: Entry): void {
    this.#repeats.note(entry)
  }

  /** After an erasure in a topic: forgets all shared chunks and the topic's repeat, and looks up the topic's newest entry again. */
  forget(topic: string, logReader: LogReader): void {
    this.shared.clear()
    if (!this.#repeats.forget(topic)) return
    logReader.newest(topic).then(
      (newest) => newest && this.#repeats.note(newest),
      () => {}, // The log cannot be read: nothing is repeated until a new entry comes.
    )
  }

  /** Forgets all shared chunks, and the repeat of every topic. */
  forgetAll(): void {
    this.shared.clear()
    this.#repeats.clear()
  }

  /** Tells every stream that a topic was deleted up to a seq: if it was closed at or before that seq, it is open again. */
  reopen(topic: string, upTo: number): void {
    for (const reader of this.#all) reader.reopen(topic, upTo)
  }

  /** Ends every stream, and spreads when readers come back. @param isAtOnce whether streams end without sending what is due */
  finish(why: 'shutdown' | 'replaced', isAtOnce: boolean): void {
    const { size } = this
    for (const reader of this.#all) reader.finish(why, this.#admission.returnMs(size), isAtOnce)
  }

  close(): void {
    for (const reader of this.#all) reader.close('shutdown')
  }

  #leave(subscription: Subscription, repeated: string | undefined): void {
    this.#leaveGroup(subscription.group)
    if (repeated !== undefined) this.#repeats.leave(repeated)
    this.#all.delete(subscription)
    this.wheel.remove(subscription)
  }

  #leaveGroup(group: Group): void {
    this.#interests.leave(group)
    if (group.size < 2) this.shared.forget(group)
  }

  /** Ends one stream whose tick has thrown; the other streams go on. */
  #fail(subscription: Subscription, cause: unknown): void {
    try {
      this.#options().events?.failed?.('Cannot serve a stream', cause)
      subscription.close('failed')
    } catch {
      // A function of the host (`events`, `onEnd`) has thrown. The stream is already off the wheel, and its carrier closes it.
    }
  }

  /** Where history begins. @throws AppError `too_many_replays` */
  async #historyOf(
    { from, signal }: SubscribeOptions,
    filter: Filter,
    logReader: LogReader,
  ): Promise<Lookup['history']> {
    if (from === undefined) return
    if (from === 'earliest') return { after: 0, vouched: true }
    const after = await this.#admission.searching(() => logReader.seek(from, filter, () => signal?.aborted === true))
    return { after, vouched: 'last' in from }
  }

  async #repeatOf(topic: string, logReader: LogReader, initial: Entry) {
    const repeat = this.#repeats.join(topic)
    if (!repeat.entry) {
      const newest = await logReader.newest(topic)
      if (newest) this.#repeats.note(newest)
      else if (topic === STORE) this.#repeats.note(initial)
    }
    return repeat
  }
}
