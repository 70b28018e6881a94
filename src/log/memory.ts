import { ledger } from './ledger.ts'
import { defaultLogOptions, type Entry, type Log, type LogOptions, newEpoch } from './log.ts'
import type { EntryRow, KeyRow, State, Tables, TopicRow } from './tables.ts'

/** A log that lives and dies with the process: for tests, demos, and feeds whose readers need no more than the recent past. */
export function memoryLog(options: Partial<LogOptions> = {}): Log {
  const all = { ...defaultLogOptions, retention: { count: 100_000, bytes: 64 * 1024 ** 2 }, ...options }
  return ledger(memoryTables(), { ...all, durability: 'memory' })
}

type Kept = { readonly entry: Entry; readonly row: EntryRow }

function memoryTables(): Tables {
  let state: State = { epoch: newEpoch(), head: 0, time: 0, count: 0, bytes: 0, keys: 0, emptied: 0, floor: 0 }
  let oldest = 1
  let newest = 0
  const entries = new Map<number, Kept>()
  const seqs = new Map<string, Seqs>()
  const topics = new Map<string, TopicRow>()
  const emptied = new Set<string>() // in the order in which they were emptied
  const keys = new Map<string, KeyRow>() // in the order of their seq

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
      if (row.count === 0 && row.closed === 0) emptied.add(name)
    },
    trimmedAfter(seq) {
      const found = [...topics]
        .map(([topic, { trimmed }]) => ({ topic, trimmed }))
        .filter(({ trimmed }) => trimmed > seq)
      return found.sort((a, b) => b.trimmed - a.trimmed)
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
      const { seq, topic, time } = entry
      newest = seq
      entries.set(seq, { entry, row: { seq, topic, time, bytes } })
      const own = seqs.get(topic)
      if (own) own.push(seq)
      else seqs.set(topic, new Seqs(seq))
    },
    remove({ seq, topic }) {
      entries.delete(seq)
      const own = seqs.get(topic)!
      own.remove(seq)
      if (own.size === 0) seqs.delete(topic)
      while (oldest <= newest && !entries.has(oldest)) oldest++
    },
    entry: (seq) => entries.get(seq)?.entry,
    rows(after, limit) {
      const rows: EntryRow[] = []
      let seq = Math.max(after + 1, oldest)
      // Holes that trimming by topic left cost a step too: a read of them is bounded like any other.
      for (let step = 0; step < 10 * limit && rows.length < limit && seq <= newest; step++, seq++) {
        const kept = entries.get(seq)
        if (kept) rows.push(kept.row)
      }
      return { rows, to: seq > newest ? Number.POSITIVE_INFINITY : seq - 1 }
    },
    topicRows: (topic, after, limit) =>
      (seqs.get(topic)?.after(after, limit) ?? []).map((seq) => entries.get(seq)!.row),
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

/** The seqs of one topic, rising: appended at the end, removed near the start. */
class Seqs {
  #list: number[]
  #start = 0

  constructor(first: number) {
    this.#list = [first]
  }

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

  remove(seq: number): void {
    if (this.#list[this.#start] !== seq) {
      this.#list.splice(this.#find(seq), 1)
      return
    }
    this.#start++
    if (this.#start < 1024 || this.#start * 2 < this.#list.length) return
    this.#list = this.#list.slice(this.#start)
    this.#start = 0
  }

  /** Index of the first seq that is not less, by halving. */
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
