import { whenGone } from '../client-gone.ts'
import { AppError } from '../errors.ts'
import type { Beginning, Page } from '../log/log.ts'
import type { Filter } from '../topic.ts'
import { type Delivered, delivered, gapOf } from './delivered.ts'
import type { Group } from './interests.ts'
import { type History, type Opened, openAtOnce, openFrom, positionBefore, type Wanted } from './opening.ts'
import { formatPosition, type Position, parsePosition } from './position.ts'
import type { Programs } from './programs.ts'
import type { FollowedLog } from './readers.ts'

/** Most entries of one read of the log. */
const READ_COUNT = 64

/**
 * Where `Hub.entries` begins, and where it ends.
 *
 * @example
 * const options: EntriesOptions = { from: { last: 10 }, until: 'now' }
 * for await (const item of hub.entries('news/*', options)) console.log(item)
 */
export interface EntriesOptions {
  /** Begins after this position: the `id` of an earlier item, or of a published message. Wins over `from`. */
  readonly after?: string
  /** Where to begin without `after`: at the oldest kept entry (the default), the next entry, the newest `last` entries, or a time. */
  readonly from?: 'earliest' | 'now' | Beginning
  /**
   * `now` ends with the entries that the log had at the call; `closed` ends once all topics are closed, and takes no pattern, because a
   * pattern never completes. Without it, the iteration goes on until `signal` aborts, or the hub closes.
   */
  readonly until?: 'now' | 'closed'
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal
}

/** What an iteration needs of its hub. */
export interface EntrySource {
  /** The log that the hub follows now. */
  opened(): Promise<FollowedLog>
  readonly programs: Programs
}

/**
 * Reads the entries of a filter from the log, a page at a time, and waits for more at the head. The promises are those of a stream: every
 * entry after the position once and in order, or a gap first.
 *
 * @throws AppError `draining` from `next` once the hub is closed, and those of `Log.read`
 */
export class Entries implements AsyncIterableIterator<Delivered, void, undefined> {
  readonly #filter: Filter
  readonly #options: EntriesOptions
  readonly #source: EntrySource
  readonly #generator: AsyncGenerator<Delivered, void, undefined>
  /** The log's head at the call. */
  readonly #now: Promise<Position>
  /** The position to continue after; undefined for the beginning that the options name. */
  #asked: Wanted['asked']
  #isStopped = false
  #wake: () => void = () => {}

  constructor(filter: Filter, options: EntriesOptions, source: EntrySource) {
    if (options.until === 'closed' && filter.patterns.length > 0)
      throw new AppError('parameter_invalid', 'Cannot wait until a pattern is closed: name topics, or leave out until')
    this.#filter = filter
    this.#options = options
    this.#source = source
    if (options.after !== undefined) this.#asked = parsePosition(options.after) ?? 'unknown'
    this.#now = source.opened().then(({ context: { epoch, window } }) => ({ epoch, seq: window.head }))
    this.#now.catch(() => {}) // `next` rejects with it
    this.#generator = this.#all()
  }

  next(): Promise<IteratorResult<Delivered, void>> {
    return this.#generator.next()
  }

  /** Ends the iteration, also while a call of `next` waits. */
  return(): Promise<IteratorResult<Delivered, void>> {
    this.#stop()
    return this.#generator.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async *#all(): AsyncGenerator<Delivered, void, undefined> {
    const { signal } = this.#options
    const stopListening = signal && whenGone(signal, () => this.#stop())
    const group = this.#source.programs.join(this.#filter)
    try {
      // Once for each log: if another one replaces the log, the iteration goes on in that, after a gap.
      let isOver = false
      while (!isOver && !this.#isStopped) isOver = yield* this.#allOf(await this.#opened(), await this.#now, group)
    } finally {
      stopListening?.()
      this.#source.programs.leave(group)
    }
  }

  /** Iterates over one log. @returns whether the iteration is over; false if another log has replaced this one */
  async *#allOf(followed: FollowedLog, now: Position, group: Group): AsyncGenerator<Delivered, boolean, undefined> {
    const { context, isCurrent } = followed
    const { epoch, window } = context
    const { until } = this.#options
    const id = (seq: number) => formatPosition(epoch, seq)
    const joinedAt = now.epoch === epoch ? now.seq : window.head
    const end = until === 'now' ? joinedAt : Number.POSITIVE_INFINITY
    let { edition } = window
    const begun = await this.#begin(followed, joinedAt)
    if (!isCurrent()) return false
    let { position } = begun.opened
    let page = begun.page
    let gapTo = page?.trimmed?.to ?? 0
    let mayBeClosed = until === 'closed'
    const moveTo = (seq: number) => {
      position = seq
      this.#asked = { epoch, seq }
    }
    moveTo(position)
    if (begun.opened.gap) yield gapOf(begun.opened.gap, position, id)
    while (!this.#isStopped && position < end) {
      this.#assertOpen()
      if (page === undefined && position < window.head) {
        edition = window.edition
        page = await this.#read(followed, position)
      }
      if (!isCurrent()) return false
      if (page?.trimmed && page.trimmed.to > gapTo) {
        const gap = { reason: 'trimmed', from: id(position), ...page.trimmed } as const
        gapTo = page.trimmed.to
        mayBeClosed = until === 'closed' // what was trimmed may have closed the topics
        moveTo(positionBefore(page))
        yield gapOf(gap, position, id)
      }
      for (const entry of page?.entries ?? []) {
        if (this.#isStopped || entry.seq > end) return true
        if (window.edition !== edition) break // an entry was erased, perhaps this one
        moveTo(entry.seq)
        mayBeClosed ||= until === 'closed' && entry.close === true
        yield delivered(entry, id(entry.seq))
      }
      if (page && !this.#isStopped && window.edition === edition) moveTo(Math.max(position, page.scannedTo))
      page = undefined
      if (position < window.head || !isCurrent()) continue
      if (mayBeClosed) {
        if (await this.#isClosedAt(position, followed)) return true
        mayBeClosed = false
      }
      if (position >= window.head && position < end && isCurrent()) {
        const head = await this.#nextWake(group)
        if (isCurrent()) moveTo(Math.max(position, head))
      }
    }
    return true
  }

  /** Where the iteration begins in a log, and the first page if the log had to be read for that. */
  async #begin(followed: FollowedLog, joinedAt: number): Promise<{ readonly opened: Opened; readonly page?: Page }> {
    const { epoch } = followed.context
    const wanted = {
      asked: this.#asked,
      history: this.#asked === undefined ? await this.#history(followed) : undefined,
    }
    const standing = { epoch, joinedAt, floor: Number.POSITIVE_INFINITY } // everything is read from the log
    const opened = openAtOnce(wanted, standing)
    if (typeof opened !== 'number') return { opened }
    const page = await this.#read(followed, opened)
    return { opened: openFrom(page, wanted, standing), page }
  }

  #read({ logReader, context }: FollowedLog, after: number): Promise<Page> {
    const limit = { count: READ_COUNT, bytes: context.maxChunkBytes }
    return this.#whileOpen(logReader.read(after, limit, this.#filter, () => this.#isStopped))
  }

  async #opened(): Promise<FollowedLog> {
    this.#assertOpen()
    return this.#source.opened()
  }

  #assertOpen(): void {
    if (this.#source.programs.isClosed)
      throw new AppError('draining', 'Cannot read on: the hub is closed; continue after the last id once it is open')
  }

  /** A read that fails because the hub was closed meanwhile fails with `draining`. */
  #whileOpen<T>(read: Promise<T>): Promise<T> {
    return read.catch((cause) => {
      this.#assertOpen()
      throw cause
    })
  }

  /** Where history begins; undefined for the head. */
  async #history({ logReader }: FollowedLog): Promise<History | undefined> {
    const { from = 'earliest' } = this.#options
    if (from === 'now') return
    if (from === 'earliest') return { after: 0, vouched: true }
    const after = await this.#whileOpen(logReader.seek(from, this.#filter, () => this.#isStopped))
    return { after, vouched: 'last' in from }
  }

  async #isClosedAt(position: number, { logReader }: FollowedLog): Promise<boolean> {
    const { topics } = this.#filter
    const closed = await this.#whileOpen(logReader.closed(topics))
    return closed.size === topics.size && [...closed.values()].every(({ seq }) => seq <= position)
  }

  /** Resolves with the position up to which no entry was for this iteration. */
  #nextWake(group: Group): Promise<number> {
    return new Promise((resolve) => {
      const waiter = { wake: resolve }
      group.waiting.add(waiter)
      this.#wake = () => {
        group.waiting.delete(waiter)
        resolve(0)
      }
      if (this.#isStopped || this.#source.programs.isClosed) this.#wake()
    })
  }

  #stop(): void {
    this.#isStopped = true
    this.#wake()
  }
}
