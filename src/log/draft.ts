import type { AppError } from '../errors.ts'
import { isOwn } from '../topic.ts'
import type { ActiveRuns } from './active-runs.ts'
import { timeAfter } from './clock.ts'
import type { Batch } from './group.ts'
import type { Entry, LogOptions, Message, Receipt } from './log.ts'
import { makeEntry, weigh } from './log.ts'
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
import { RunDraft } from './run-draft.ts'
import type { EntryRow, KeyRow, State, Tables, TopicRow } from './tables.ts'
import { Touched } from './touched.ts'

/** Entries that trimming fetches at once. A log at its limit trims about as many entries as are appended, which are mostly few. */
const TRIM_PAGE = 16

/**
 * The changes of one transaction: applies the rules to the rows of the tables, and stores the results. The draft's `state` becomes the
 * state of the log with the commit, not before.
 */
export class Draft {
  readonly state: State
  /** Trimming looks only at entries after this seq. Each kept entry up to this seq is the newest of a `$` topic, which is never trimmed. */
  trimFrom: number
  /** Entries that the commit adds to the log. */
  readonly appended: Entry[] = []
  /** Entries that the commit removes, because of the retention or because their topic is erased. */
  readonly trimmed: EntryRow[] = []
  /** What the commit does to runs. */
  readonly runs: RunDraft
  readonly #tables: Tables
  readonly #options: LogOptions
  readonly #topics: Touched
  readonly #now = Date.now()

  constructor(tables: Tables, options: LogOptions, active: ActiveRuns, state: State, trimFrom: number) {
    this.#tables = tables
    this.runs = new RunDraft(tables, options, active, this.#now)
    this.#options = options
    this.#topics = new Touched(tables)
    this.state = { ...state }
    this.trimFrom = trimFrom
  }

  /** Appends a batch; or refuses the whole batch, changes nothing and returns the error. */
  append(batch: Batch): readonly Receipt[] | AppError {
    const { messages, hashes } = batch
    const { head } = this.state
    const clock = timeAfter(this.state, this.#now, head + 1)
    const placed = placeBatch(batch, {
      head,
      time: clock.time,
      closedAt: (topic) => this.#topics.get(topic).closed,
      key: (topic, key) => this.#knownKey(topic, key),
      run: (topic) => this.runs.active(topic),
      isRunOver: (topic) => this.runs.isOver(topic),
    })
    if ('code' in placed) return refusalError(placed, messages, (topic) => this.runs.leaseEnd(topic))
    for (const [i, receipt] of placed.entries()) {
      const message = messages[i]!
      if (message.run !== undefined) this.runs.noteLife(message)
      if (receipt.duplicate) continue
      this.state.time = clock.time
      this.state.steps = clock.steps
      this.#insert(message, receipt)
      if (message.key !== undefined) this.#setKey(message.topic, message.key, hashes![i]!, receipt)
    }
    return placed
  }

  /**
   * Trims entries that exceed the retention, oldest first. Looks at no more than about `step` rows of each touched topic and of the log;
   * returns whether more rows of the log may have to go.
   */
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

  /**
   * Trims, forgets keys and closed topics, and stores the changed topics: the last step of a draft that appends. Looks at about `step` rows
   * of each; returns whether there may be more to trim or forget.
   *
   * @param isSweep see `forgetClosed`
   */
  tidy(step: number, isSweep: boolean): boolean {
    if (isSweep) this.#noteClock()
    const isMore = this.trim(step)
    this.forgetKeys(step)
    this.saveTopics()
    return this.forgetClosed(step, isSweep) || isMore
  }

  /** Forgets keys that are too old, and the oldest ones if there are too many; at most `limit` keys. */
  forgetKeys(limit: number): void {
    const { state } = this
    if (state.keys === 0) return
    const { keyAgeMs, keyCount } = this.#options
    const oldest = oldestKeyTime(this.#now, keyAgeMs)
    // Mostly the oldest key stays, so it is looked at alone before a page is fetched.
    for (let [left, page] = [limit, 1]; left > 0; left -= page, page = left) {
      const rows = this.#tables.oldestKeys(page)
      const gone = surplusKeys(rows, state.keys, keyCount, state.steps, oldest)
      for (const row of rows.slice(0, gone)) this.#removeKey(row)
      if (gone < page) return
    }
  }

  /** Erases one entry. If the entry closes its topic, only its data is erased. Returns whether the topic had the entry. */
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

  /** Erases a topic's entries up to a seq, oldest first, at most `limit`. Once none is left, a close up to that seq is forgotten too. */
  eraseTopic(name: string, upTo: number, limit: number): { readonly erased: number; readonly isMore: boolean } {
    const rows = this.#tables.topicRows(name, 0, limit).filter(({ seq }) => seq <= upTo)
    this.#drop(rows)
    const isMore = rows.length === limit
    const topic = this.#topics.get(name)
    if (!isMore) {
      topic.closed = closeAfterErasing(topic.closed, upTo)
      if (topic.closed === 0) this.runs.remove(name)
    }
    return { erased: rows.length, isMore }
  }

  /** Stores the rows of changed topics. If there are too many emptied topics, forgets those trimmed longest ago and raises the floor. */
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
   * Forgets closed topics without entries that are too old or too many, at most `limit`. The floor rises to the seqs of their closes. Call
   * it after `saveTopics`. Returns whether there may be more to forget.
   *
   * @param isSweep whether to look at closed topics even if no new mark was made and there are not too many
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
      this.runs.remove(topic)
      state.closedTopics--
      state.floor = Math.max(state.floor, closed, trimmed)
    }
    return gone === limit
  }

  /** Notices without an append that the clock was set back: entries of its future are as old as this step, and no longer too young for ever. */
  #noteClock(): void {
    const { state } = this
    const { time, steps } = timeAfter(state, this.#now, state.head + 1)
    if (steps !== state.steps) Object.assign(state, { time, steps })
  }

  #insert(message: Message, receipt: Receipt): void {
    const { state } = this
    const entry = makeEntry(message, receipt)
    const bytes = weigh(entry)
    this.#tables.insert(entry, bytes)
    this.appended.push(entry)
    if (isOwn(entry.topic)) this.trimFrom = 0 // the topic's entry before this one may be trimmed now
    const topic = this.#topics.get(entry.topic)
    topic.count++
    topic.bytes += bytes
    if (entry.close) topic.closed = entry.seq
    if (entry.close && message.run !== undefined) this.runs.end(message)
    state.count++
    state.bytes += bytes
    state.head = entry.seq
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
