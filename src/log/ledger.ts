import { AppError, quote } from '../errors.ts'
import { type Filter, isOwn } from '../topic.ts'
import { Followers } from './followers.ts'
import { type Batch, GroupCommit } from './group.ts'
import type { Deliver, Durability, Entry, Log, LogOptions, Message, Page, ReadLimit, Receipt } from './log.ts'
import { weigh } from './log.ts'
import { merge, scan } from './scan.ts'
import type { EntryRow, State, Tables, TopicRow } from './tables.ts'
import { nextTurn } from './turn.ts'

/** Trimming is bounded per commit, so that a lowered limit or a long pause costs many small steps instead of one long one. */
const TRIM_STEP = 64
const SWEEP_MS = 60_000

interface LedgerOptions extends LogOptions {
  readonly durability: Durability
}

/** The log of one process over tables of its own: everything a `Log` promises but the storage. */
export function ledger(tables: Tables, options: LedgerOptions): Log {
  const { retention } = options
  const followers = new Followers()
  const commits = new GroupCommit(commit)
  let state = tables.state()
  let told = state.head
  let failed = false
  let closing: Promise<void> | undefined
  const sweep = retention.ageMs === undefined ? undefined : setInterval(trimAge, Math.min(retention.ageMs, SWEEP_MS))
  letExit(sweep)

  return {
    epoch: state.epoch,
    durability: options.durability,

    append(messages: readonly Message[]): Promise<readonly Receipt[]> {
      if (closing) return Promise.reject(closed())
      return messages.length === 0 ? Promise.resolve([]) : commits.append(messages)
    },

    async read(after: number, limit: ReadLimit, filter: Filter): Promise<Page> {
      await nextTurn()
      if (closing) throw closed()
      const found =
        filter.patterns.length > 0
          ? scan(tables, after, limit, filter, state.head)
          : merge(tables, after, limit, filter, state.head)
      const trimmed = trimmedOf(filter, after)
      return trimmed ? { ...found, trimmed } : found
    },

    async newest(topic: string) {
      const seq = tables.newest(topic)
      return seq === undefined ? undefined : tables.entry(seq)
    },

    async closed(topics: Iterable<string>) {
      const found = new Map<string, number>()
      for (const topic of topics) {
        const seq = tables.topic(topic)?.closed
        if (seq) found.set(topic, seq)
      }
      return found
    },

    async follow(deliver: Deliver) {
      return followers.add(deliver, told)
    },

    async check() {
      if (closing) throw closed()
      try {
        recover()
        tables.transaction(() => tables.setState(state))
      } catch (cause) {
        throw new AppError('log_unusable', 'Cannot write to the log now', { cause })
      }
    },

    close() {
      closing ??= (async () => {
        clearInterval(sweep)
        await commits.idle()
        followers.clear()
        tables.close()
      })()
      return closing
    },
  }

  async function commit(group: readonly Batch[]): Promise<void> {
    const entries: Entry[] = []
    const outcomes: (readonly Receipt[] | AppError)[] = []
    try {
      recover()
      const next = { ...state }
      tables.transaction(() => {
        const topics = new Topics(tables)
        let keys = 0
        for (const batch of group) {
          const receipts = place(batch, next, topics)
          outcomes.push(receipts)
          if (receipts instanceof AppError) continue
          for (const [i, message] of batch.messages.entries()) {
            const receipt = receipts[i]!
            if (receipt.duplicate) continue
            entries.push(insert(message, receipt, next, topics))
            if (message.key === undefined) continue
            tables.setKey({
              topic: message.topic,
              key: message.key,
              hash: batch.hashes[i]!,
              seq: receipt.seq,
              time: receipt.time,
            })
            next.keys++
            keys++
          }
        }
        if (entries.length === 0 && next.keys === state.keys) return
        trim(next, topics, 2 * entries.length + TRIM_STEP)
        forgetKeys(next, 2 * keys + TRIM_STEP)
        finish(next, topics)
      })
      await tables.flush?.()
      state = next
    } catch (cause) {
      failed = true
      const unknown = new AppError(
        'outcome_unknown',
        'Cannot tell whether the log took this: its commit failed; publish again with the same key',
        { cause },
      )
      for (const batch of group) batch.refuse(unknown)
      return
    }
    for (const [i, batch] of group.entries()) {
      const outcome = outcomes[i]!
      if (outcome instanceof AppError) batch.refuse(outcome)
      else batch.accept(outcome)
    }
    tell(entries)
  }

  /** Where each message of a batch would go, or why the batch is refused. Changes nothing but `next.head` and `next.time`. */
  function place(batch: Batch, next: State, topics: Topics): readonly Receipt[] | AppError {
    const receipts: Receipt[] = []
    const fresh = new Map<string, { hash: string; receipt: Receipt }>()
    const closes = new Set<string>()
    const time = Math.max(next.time, Date.now())
    let head = next.head
    for (const [i, { topic, key, close }] of batch.messages.entries()) {
      if (key !== undefined) {
        const name = JSON.stringify([topic, key])
        const known = fresh.get(name) ?? knownKey(topic, key, next)
        if (known && known.hash !== batch.hashes[i])
          return new AppError(
            'key_conflict',
            `Cannot publish with key ${quote(key)}: the topic has another message with this key`,
          )
        if (known) {
          receipts.push({ ...known.receipt, duplicate: true })
          continue
        }
        fresh.set(name, { hash: batch.hashes[i]!, receipt: { seq: head + 1, time, duplicate: false } })
      }
      if (closes.has(topic) || topics.get(topic).closed > 0)
        return new AppError('topic_closed', `Cannot publish to ${quote(topic)}: the topic is closed`)
      if (close) closes.add(topic)
      receipts.push({ seq: ++head, time, duplicate: false })
    }
    if (head > next.head) next.time = time
    next.head = head
    return receipts
  }

  function knownKey(topic: string, key: string, next: State): { hash: string; receipt: Receipt } | undefined {
    const row = tables.key(topic, key)
    if (!row) return
    if (row.time >= Date.now() - options.keyAgeMs)
      return { hash: row.hash, receipt: { seq: row.seq, time: row.time, duplicate: true } }
    tables.removeKey(row)
    next.keys--
  }

  function insert({ key: _, ...said }: Message, { seq, time }: Receipt, next: State, topics: Topics): Entry {
    const entry: Entry = { ...said, seq, time }
    const bytes = weigh(entry)
    tables.insert(entry, bytes)
    const topic = topics.get(entry.topic)
    topic.count++
    topic.bytes += bytes
    if (entry.close) topic.closed = seq
    next.count++
    next.bytes += bytes
    return entry
  }

  function trim(next: State, topics: Topics, step: number): void {
    const over = (
      count: number,
      bytes: number,
      maxCount = Number.POSITIVE_INFINITY,
      maxBytes = Number.POSITIVE_INFINITY,
    ) => count > maxCount || bytes > maxBytes
    const drop = (row: EntryRow) => {
      const topic = topics.get(row.topic)
      tables.remove(row)
      topic.count--
      topic.bytes -= row.bytes
      topic.trimmed = Math.max(topic.trimmed, row.seq)
      next.count--
      next.bytes -= row.bytes
    }
    if (retention.topicCount !== undefined || retention.topicBytes !== undefined) {
      for (const [name, topic] of topics.all())
        for (const row of tables.topicRows(name, 0, step)) {
          if (!over(topic.count, topic.bytes, retention.topicCount, retention.topicBytes)) break
          if (!isState(row)) drop(row)
        }
    }
    const oldest = retention.ageMs === undefined ? Number.NEGATIVE_INFINITY : Date.now() - retention.ageMs
    for (const row of tables.rows(0, step).rows) {
      if (row.time >= oldest && !over(next.count, next.bytes, retention.count, retention.bytes)) break
      if (!isState(row)) drop(row)
    }
  }

  function isState(row: EntryRow): boolean {
    return isOwn(row.topic) && tables.newest(row.topic) === row.seq
  }

  function forgetKeys(next: State, step: number): void {
    const oldest = Date.now() - options.keyAgeMs
    if (next.keys === 0) return
    for (const row of tables.oldestKeys(step)) {
      if (row.time >= oldest && next.keys <= options.keyCount) break
      tables.removeKey(row)
      next.keys--
    }
  }

  function finish(next: State, topics: Topics): void {
    next.emptied += topics.save()
    const surplus = next.emptied - options.trimmedCount
    if (surplus > 0) {
      next.floor = Math.max(next.floor, tables.forgetEmptied(surplus))
      next.emptied -= surplus
    }
    tables.setState(next)
  }

  function trimmedOf(filter: Filter, after: number): Page['trimmed'] {
    let to = 0
    for (const topic of filter.topics) to = Math.max(to, tables.topic(topic)?.trimmed ?? 0)
    if (filter.patterns.length > 0)
      for (const { topic, trimmed } of tables.trimmedAfter(Math.max(after, to))) {
        if (!filter.matches(topic)) continue
        to = Math.max(to, trimmed)
        break
      }
    if (after < state.floor) return { to: Math.max(to, state.floor), exact: false }
    return to > after ? { to, exact: true } : undefined
  }

  function trimAge(): void {
    try {
      recover()
      const next = { ...state }
      tables.transaction(() => {
        const topics = new Topics(tables)
        trim(next, topics, 10 * TRIM_STEP)
        forgetKeys(next, 10 * TRIM_STEP)
        finish(next, topics)
      })
      state = next
    } catch {
      failed = true // Nothing was promised to anybody; the next append or sweep tries again, and /ready tells.
    }
  }

  /** After a failed commit only the tables know what became of it. What they do hold is delivered like anything else. */
  function recover(): void {
    if (!failed) return
    state = tables.state()
    failed = false
    const late: Entry[] = []
    for (let seq = told + 1; seq <= state.head; seq++) {
      const entry = tables.entry(seq)
      if (entry) late.push(entry)
    }
    tell(late)
  }

  function tell(entries: readonly Entry[]): void {
    told = state.head
    followers.tell(entries)
  }
}

/** The topics that a commit touches, read once and written once. */
class Topics {
  readonly #tables: Tables
  readonly #rows = new Map<string, { row: TopicRow; emptied: boolean }>()

  constructor(tables: Tables) {
    this.#tables = tables
  }

  get(name: string): TopicRow {
    const touched = this.#rows.get(name)
    if (touched) return touched.row
    const kept = this.#tables.topic(name)
    const row = kept ? { ...kept } : { count: 0, bytes: 0, trimmed: 0, closed: 0 }
    this.#rows.set(name, { row, emptied: kept !== undefined && isEmptied(kept) })
    return row
  }

  *all(): Iterable<[string, TopicRow]> {
    for (const [name, { row }] of this.#rows) yield [name, row]
  }

  /** Returns by how many the emptied topics grew. */
  save(): number {
    let grown = 0
    for (const [name, { row, emptied }] of this.#rows) {
      if (row.count === 0 && row.trimmed === 0) continue // only looked at
      this.#tables.setTopic(name, row)
      grown += Number(isEmptied(row)) - Number(emptied)
    }
    return grown
  }
}

function isEmptied(row: TopicRow): boolean {
  return row.count === 0 && row.closed === 0
}

function closed(): AppError {
  return new AppError('log_unusable', 'Cannot use the log: it is closed')
}

/** Lets a process end although the timer is set, where the runtime knows of that. */
function letExit(timer: unknown): void {
  ;(timer as { unref?: () => void } | undefined)?.unref?.()
}
