import { ledger } from './ledger.ts'
import { defaultLogOptions, type Entry, type Log, type LogOptions, newEpoch, weigh } from './log.ts'
import type { EntryRow, KeyRow, State, Tables, TopicRow } from './tables.ts'

/** A log that lives and dies with the process: for tests, demos, and feeds whose readers need no more than the recent past. */
export function memoryLog(options: Partial<LogOptions> = {}): Log {
  const all = { ...defaultLogOptions, retention: { count: 100_000, bytes: 64 * 1024 ** 2 }, ...options }
  return ledger(memoryTables(), { ...all, durability: 'memory' })
}

type Kept = { readonly entry: Entry; readonly bytes: number }

function memoryTables(): Tables {
  let state: State = {
    epoch: newEpoch(),
    head: 0,
    time: 0,
    count: 0,
    bytes: 0,
    keys: 0,
    emptied: 0,
    floor: 0,
    commits: 0,
  }
  const entries = new Map<number, Kept>()
  const all = new Seqs()
  const seqs = new Map<string, Seqs>()
  const topics = new Map<string, TopicRow>()
  const shown = new Set<string>() // those that have kept entries or are closed
  const emptied = new Set<string>() // the others, in the order in which they were emptied
  const keys = new Map<string, KeyRow>() // in the order of their seq
  const row = (seq: number): EntryRow => {
    const { entry, bytes } = entries.get(seq)!
    return { seq, topic: entry.topic, time: entry.time, bytes }
  }

  return {
    transaction: (run) => run(),
    state: () => ({ ...state }),
    setState: (next) => {
      state = { ...next }
    },

    topic: (name) => topics.get(name),
    setTopic(name, row) {
      topics.set(name, { ...row })
      emptied.delete(name)
      if (row.count > 0 || row.closed > 0) {
        shown.add(name)
        return
      }
      shown.delete(name)
      emptied.add(name)
    },
    newestTrimmedFirst: false,
    *trimmedAfter(seq) {
      for (const [topic, { trimmed }] of topics) if (trimmed > seq) yield { topic, trimmed }
    },
    topics(prefix, after, limit) {
      const found: string[] = []
      for (const name of shown) {
        if (name <= after || !name.startsWith(prefix)) continue
        found.push(name)
        // Only the first ones are wanted: so that a page of very many topics holds few of them at a time.
        if (found.length >= 10_000 + 2 * limit) found.sort().splice(limit)
      }
      return found
        .sort()
        .slice(0, limit)
        .map((topic) => ({ topic, ...topics.get(topic)! }))
    },
    forgetEmptied(count) {
      let last = 0
      for (const name of [...emptied.values().take(count)]) {
        last = Math.max(last, topics.get(name)!.trimmed)
        topics.delete(name)
        emptied.delete(name)
      }
      return last
    },

    insert(entry, bytes) {
      const { seq, topic } = entry
      entries.set(seq, { entry, bytes })
      all.push(seq)
      const own = seqs.get(topic) ?? new Seqs()
      seqs.set(topic, own)
      own.push(seq)
    },
    remove({ seq, topic }) {
      entries.delete(seq)
      all.remove(seq)
      const own = seqs.get(topic)!
      own.remove(seq)
      if (own.size === 0) seqs.delete(topic)
    },
    blank({ seq, topic, time }) {
      const entry: Entry = { topic, close: true, seq, time }
      entries.set(seq, { entry, bytes: weigh(entry) })
    },
    entry: (seq) => entries.get(seq)?.entry,
    entries: (seqs) => seqs.map((seq) => entries.get(seq)?.entry).filter((entry) => entry !== undefined),
    rows(after, limit) {
      const rows = all.after(after, limit).map(row)
      return { rows, to: rows.length < limit ? Number.POSITIVE_INFINITY : rows.at(-1)!.seq }
    },
    topicRows: (topic, after, limit) => (seqs.get(topic)?.after(after, limit) ?? []).map(row),
    rowsBefore: (before, limit) => all.before(before, limit).map(row),
    topicRowsBefore: (topic, before, limit) => (seqs.get(topic)?.before(before, limit) ?? []).map(row),
    newest: (topic) => seqs.get(topic)?.last,

    key: (topic, key) => keys.get(JSON.stringify([topic, key])),
    setKey: (row) => {
      keys.set(JSON.stringify([row.topic, row.key]), row)
    },
    oldestKeys: (limit) => [...keys.values().take(limit)],
    removeKey: ({ topic, key }) => {
      keys.delete(JSON.stringify([topic, key]))
    },
    close() {},
  }
}

/** Rising seqs: appended at the end, mostly removed at or near the start, found by halving. */
class Seqs {
  #list: number[] = []
  #start = 0

  get size(): number {
    return this.#list.length - this.#start
  }

  get last(): number | undefined {
    return this.size > 0 ? this.#list.at(-1) : undefined
  }

  push(seq: number): void {
    this.#list.push(seq)
  }

  after(seq: number, limit: number): readonly number[] {
    const from = this.#find(seq + 1)
    return this.#list.slice(from, from + limit)
  }

  /** Newest first. */
  before(seq: number, limit: number): readonly number[] {
    const to = this.#find(seq)
    return this.#list.slice(Math.max(this.#start, to - limit), to).reverse()
  }

  /** Closes the hole from the nearer side: one that stays at the start does not make the others dear. */
  remove(seq: number): void {
    const at = this.#find(seq)
    if (at - this.#start > this.#list.length - at) {
      this.#list.splice(at, 1)
      return
    }
    this.#list.copyWithin(this.#start + 1, this.#start, at)
    this.#start++
    if (this.#start < 1024 || this.#start * 2 < this.#list.length) return
    this.#list = this.#list.slice(this.#start)
    this.#start = 0
  }

  /** Index of the first seq that is not less. */
  #find(seq: number): number {
    let low = this.#start
    let high = this.#list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#list[middle]! < seq) low = middle + 1
      else high = middle
    }
    return low
  }
}
