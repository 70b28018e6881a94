import type { AppError } from '../errors.ts'
import { isOwn } from '../topic.ts'
import { timeAfter } from './clock.ts'
import type { Batch } from './group.ts'
import type { Entry, LogOptions, Message, Receipt } from './log.ts'
import { unkeyed, weigh } from './log.ts'
import {
  type Bounds,
  closeAfterErasing,
  isKeyForgotten,
  isOver,
  logBounds,
  markHead,
  oldestKeyTime,
  placeBatch,
  refusalError,
  seqOlderThan,
  surplusClosed,
  surplusEntries,
  surplusKeys,
  surplusTopics,
  type Totals,
  topicBounds,
} from './rules.ts'
import type { EntryRow, KeyRow, State, Tables, TopicRow } from './tables.ts'
import { Touched } from './touched.ts'

/** Entries that trimming fetches at once: a log at its bound drops about as many as it is given, which mostly are few. */
const TRIM_PAGE = 16

/**
 * What one transaction makes of the log: it applies the rules to the tables' rows and stores what they decide. The state here becomes the
 * log's with the commit, and not before.
 */
export class Draft {
  readonly state: State
  /** The seq after which trimming looks for entries over a bound: everything up to it is kept, whatever its age. */
  trimFrom: number
  /** Entries that are in the log with the commit. */
  readonly appended: Entry[] = []
  /** Entries that retention, or the erasing of a topic, takes out. */
  readonly trimmed: EntryRow[] = []
  readonly #tables: Tables
  readonly #options: LogOptions
  readonly #topics: Touched
  readonly #now = Date.now()

  constructor(tables: Tables, options: LogOptions, state: State, trimFrom: number) {
    this.#tables = tables
    this.#options = options
    this.#topics = new Touched(tables)
    this.state = { ...state }
    this.trimFrom = trimFrom
  }

  /** Appends a batch, or returns why it is refused and changes nothing. */
  append(batch: Batch): readonly Receipt[] | AppError {
    const { messages, hashes } = batch
    const { head } = this.state
    const clock = timeAfter(this.state, this.#now, head + 1)
    const placed = placeBatch(batch, {
      head,
      time: clock.time,
      closedAt: (topic) => this.#topics.get(topic).closed,
      key: (topic, key) => this.#knownKey(topic, key),
    })
    if ('code' in placed) return refusalError(placed, messages)
    for (const [i, receipt] of placed.entries()) {
      if (receipt.duplicate) continue
      this.state.time = clock.time
      this.state.steps = clock.steps
      const message = messages[i]!
      this.#insert(message, receipt)
      if (message.key !== undefined) this.#setKey(message.topic, message.key, hashes![i]!, receipt)
    }
    return placed
  }

  /** Drops entries over a bound, oldest first. Looks at `step` rows of the log and of each touched topic; returns whether there are more. */
  trim(step: number): boolean {
    const { retention } = this.#options
    const ofTopic = topicBounds(retention)
    for (const [name, topic] of this.#topics)
      if (isOver(topic, ofTopic))
        this.#drop(this.#surplus(this.#tables.topicRows(name, 0, step), topic, ofTopic).surplus)
    const ofLog = logBounds(retention, this.#now)
    if (ofLog.before === undefined && !isOver(this.state, ofLog)) return false
    for (let looked = 0; looked < step; looked += TRIM_PAGE) {
      const { rows } = this.#tables.rows(this.trimFrom, TRIM_PAGE)
      const { surplus, upTo, isDone } = this.#surplus(rows, this.state, ofLog)
      this.#drop(surplus)
      this.trimFrom = Math.max(this.trimFrom, upTo)
      if (isDone || rows.length < TRIM_PAGE) return false
    }
    return true
  }

  /** Forgets keys that are too old or too many, at most `limit` of them. */
  forgetKeys(limit: number): void {
    const { state } = this
    if (state.keys === 0) return
    const { keyAgeMs, keyCount } = this.#options
    const rows = this.#tables.oldestKeys(limit)
    const gone = surplusKeys(rows, state.keys, keyCount, state.steps, oldestKeyTime(this.#now, keyAgeMs))
    for (const row of rows.slice(0, gone)) this.#removeKey(row)
  }

  /** Erases one entry; of one that closes its topic the close stays. Returns whether the topic had it. */
  eraseOne(name: string, seq: number): boolean {
    const [row] = this.#tables.topicRows(name, seq - 1, 1)
    if (row?.seq !== seq) return false
    const topic = this.#topics.get(name)
    if (topic.closed !== seq) {
      this.#remove(row)
      return true
    }
    this.#tables.blank(row)
    topic.bytes += name.length - row.bytes
    this.state.bytes += name.length - row.bytes
    return true
  }

  /** Erases a topic's entries up to a seq, at most `limit`, oldest first. With the last of them the topic is open again. */
  eraseTopic(name: string, upTo: number, limit: number): { readonly erased: number; readonly isMore: boolean } {
    const rows = this.#tables.topicRows(name, 0, limit).filter(({ seq }) => seq <= upTo)
    this.#drop(rows)
    const isMore = rows.length === limit
    const topic = this.#topics.get(name)
    if (!isMore) topic.closed = closeAfterErasing(topic.closed, upTo)
    return { erased: rows.length, isMore }
  }

  /** Stores the rows of the topics that changed, and folds emptied topics that are too many into the floor. */
  saveTopics(): void {
    const { state } = this
    const grown = this.#topics.save()
    state.emptied += grown.emptied
    state.closedTopics += grown.onlyClosed
    const surplus = surplusTopics(state.emptied, this.#options.trimmedCount)
    if (surplus === 0) return
    state.floor = Math.max(state.floor, this.#tables.forgetEmptied(surplus))
    state.emptied -= surplus
  }

  /**
   * Forgets closed topics without entries that are too old or too many, at most `limit` of them, once the topics are saved. The floor rises
   * to where they were closed. Returns whether there may be more.
   *
   * @param isSweep looks at them although nothing says that one is due
   */
  forgetClosed(limit: number, isSweep: boolean): boolean {
    const { state } = this
    const { closedAgeMs, closedCount } = this.#options
    const marks = markHead(state.marks, state.head, this.#now, closedAgeMs)
    const isDue = isSweep || marks !== state.marks || state.closedTopics > closedCount
    state.marks = marks
    if (state.closedTopics === 0 || !isDue) return false
    const rows = this.#tables.oldestClosed(limit)
    const upTo = seqOlderThan(marks, this.#now, closedAgeMs)
    const gone = surplusClosed(rows, state.closedTopics, closedCount, upTo)
    for (const { topic, closed, trimmed } of rows.slice(0, gone)) {
      this.#tables.forgetClosed(topic)
      state.closedTopics--
      state.floor = Math.max(state.floor, closed, trimmed)
    }
    return gone === limit
  }

  #insert(message: Message, { seq, time }: Receipt): void {
    const { state } = this
    const entry: Entry = { ...unkeyed(message), seq, time }
    const bytes = weigh(entry)
    this.#tables.insert(entry, bytes)
    this.appended.push(entry)
    if (isOwn(entry.topic)) this.trimFrom = 0 // the entry before it in its topic, which trimming had to keep, may go now
    const topic = this.#topics.get(entry.topic)
    topic.count++
    topic.bytes += bytes
    if (entry.close) topic.closed = seq
    state.count++
    state.bytes += bytes
    state.head = seq
  }

  #knownKey(topic: string, key: string): KeyRow | undefined {
    const row = this.#tables.key(topic, key)
    if (!row) return
    if (!isKeyForgotten(row, this.state.steps, oldestKeyTime(this.#now, this.#options.keyAgeMs))) return row
    this.#removeKey(row)
    return
  }

  #setKey(topic: string, key: string, hash: string, { seq, time }: Receipt): void {
    this.#tables.setKey({ topic, key, hash, seq, time })
    this.state.keys++
  }

  #removeKey(row: KeyRow): void {
    this.#tables.removeKey(row)
    this.state.keys--
  }

  #surplus(rows: readonly EntryRow[], totals: Totals, bounds: Bounds) {
    return surplusEntries(rows, totals, bounds, this.state.steps, this.#tables.newest)
  }

  #drop(rows: readonly EntryRow[]): void {
    for (const row of rows) {
      const topic = this.#remove(row)
      topic.trimmed = Math.max(topic.trimmed, row.seq)
      this.trimmed.push(row)
    }
  }

  #remove(row: EntryRow): TopicRow {
    this.#tables.remove(row)
    const topic = this.#topics.get(row.topic)
    for (const totals of [topic, this.state]) {
      totals.count--
      totals.bytes -= row.bytes
    }
    return topic
  }
}
