import { Sequence } from '../sequence.ts'
import { localLog } from './local.ts'
import { defaultLogOptions, type Entry, type Log, type LogOptions, newEpoch, weigh } from './log.ts'
import { SortedNames } from './names.ts'
import { isEmptied, isOnlyClosed } from './rules.ts'
import { isActive } from './run-rules.ts'
import type { EntryRow, KeyRow, RunRow, State, Tables, TopicRow } from './tables.ts'

/**
 * A log in memory, which is lost when the process ends: for tests, demos, and feeds whose readers need only the recent past.
 *
 * @example
 * const latest = new Hub(() => memoryLog({ retention: { topicCount: 1 } }))
 */
export function memoryLog(options: Partial<LogOptions> = {}): Log {
  const all = { ...defaultLogOptions, retention: { count: 100_000, bytes: 64 * 1024 ** 2 }, ...options }
  return localLog(memoryTables(), { ...all, durability: 'memory' })
}

/** An entry, and the columns that are read more often than the whole entry. */
interface Kept extends EntryRow {
  readonly entry: Entry
}

function memoryTables(): Tables {
  let state: State = {
    epoch: newEpoch(),
    head: 0,
    time: 0,
    steps: [],
    count: 0,
    bytes: 0,
    keys: 0,
    emptied: 0,
    closedTopics: 0,
    marks: [],
    floor: 0,
    commits: 0,
  }
  const all = new Sequence<Kept>()
  const ofTopics = new Map<string, Sequence<Kept>>()
  const topics = new Map<string, TopicRow>()
  const shown = new SortedNames() // topics that have kept entries or are closed
  const emptied = new Emptied() // all other topics
  const onlyClosed = new Sequence<{ readonly seq: number; readonly topic: string }>() // by the seq of the close
  const keys = new Map<string, KeyRow>() // in the order of their seq
  const runs = new Map<string, RunRow>()
  const runNames = new SortedNames()
  const stops = new Map<string, RunRow>() // asked before the first claim, in the order of their time

  return {
    transaction: (run) => run(),
    state: () => ({ ...state }),
    setState: (next) => {
      state = { ...next }
    },

    topic: (name) => topics.get(name),
    setTopic(name, row) {
      const before = topics.get(name)
      const wasShown = before !== undefined && !isEmptied(before)
      if (before && !wasShown) emptied.remove(name, before.trimmed)
      if (before && isOnlyClosed(before)) onlyClosed.remove(before.closed)
      topics.set(name, { ...row })
      const isShown = !isEmptied(row)
      if (!isShown) emptied.add(name, row.trimmed)
      if (isOnlyClosed(row)) onlyClosed.insert({ seq: row.closed, topic: name })
      if (isShown && !wasShown) shown.add(name)
      if (wasShown && !isShown) shown.delete(name)
    },
    newestTrimmedFirst: false,
    *trimmedAfter(seq) {
      for (const [topic, { trimmed }] of topics) if (trimmed > seq) yield { topic, trimmed }
    },
    topics: (prefix, after, limit) =>
      shown.page(prefix, after, limit).map((topic) => ({ topic, ...topics.get(topic)! })),
    forgetEmptied(count) {
      let last = 0
      for (let left = count; left > 0; left--) {
        const { name, trimmed } = emptied.shift()
        topics.delete(name)
        last = Math.max(last, trimmed)
      }
      return last
    },

    oldestClosed: (limit) => onlyClosed.firstAfter(0, limit).map(({ topic }) => ({ topic, ...topics.get(topic)! })),
    forgetClosed(topic) {
      onlyClosed.remove(topics.get(topic)!.closed)
      shown.delete(topic)
      topics.delete(topic)
    },

    insert(entry, bytes) {
      const { seq, topic, time } = entry
      const kept = { seq, topic, time, bytes, entry }
      all.push(kept)
      const own = ofTopics.get(topic)
      if (own) own.push(kept)
      else ofTopics.set(topic, new Sequence([kept]))
    },
    remove({ seq, topic }) {
      all.remove(seq)
      const own = ofTopics.get(topic)!
      own.remove(seq)
      if (own.size === 0) ofTopics.delete(topic)
    },
    blank({ seq, topic, time }) {
      const { outcome } = all.get(seq)!.entry
      const entry: Entry = { topic, close: true, seq, time, ...(outcome && { outcome }) }
      const kept = { seq, topic, time, bytes: weigh(entry), entry }
      all.replace(kept)
      ofTopics.get(topic)!.replace(kept)
    },
    entry: (seq) => all.get(seq)?.entry,
    entries: (seqs) => seqs.map((seq) => all.get(seq)?.entry).filter((entry) => entry !== undefined),
    rows(after, limit) {
      const rows = all.firstAfter(after, limit)
      return { rows, to: rows.length < limit ? Number.POSITIVE_INFINITY : rows.at(-1)!.seq }
    },
    topicRows: (topic, after, limit) => ofTopics.get(topic)?.firstAfter(after, limit) ?? [],
    rowsBefore: (before, limit) => all.lastBefore(before, limit),
    topicRowsBefore: (topic, before, limit) => ofTopics.get(topic)?.lastBefore(before, limit) ?? [],
    newest: (topic) => ofTopics.get(topic)?.last()?.seq,

    key: (topic, key) => keys.get(JSON.stringify([topic, key])),
    setKey: (row) => {
      keys.set(JSON.stringify([row.topic, row.key]), row)
    },
    oldestKeys: (limit) => [...keys.values().take(limit)],
    removeKey: ({ topic, key }) => {
      keys.delete(JSON.stringify([topic, key]))
    },
    run: (topic) => runs.get(topic) ?? stops.get(topic),
    setRun(row) {
      const { topic } = row
      stops.delete(topic)
      if (row.fence === 0) {
        stops.set(topic, row)
        return
      }
      if (!runs.has(topic)) runNames.add(topic)
      runs.set(topic, row)
    },
    removeRun(topic) {
      stops.delete(topic)
      if (runs.delete(topic)) runNames.delete(topic)
    },
    activeRuns: () => runs.values().filter(isActive),
    runs: (prefix, after, limit) => runNames.page(prefix, after, limit).map((topic) => runs.get(topic)!),
    stopCount: () => stops.size,
    oldestStops: (limit) => [...stops.values().take(limit)],
    close() {},
  }
}

/** Open topics without kept entries, in the order of their last trimmed seq. Topics that nothing was trimmed from come first. */
class Emptied {
  readonly #untrimmed = new Set<string>()
  readonly #byTrimmed = new Sequence<{ readonly seq: number; readonly name: string }>()

  add(name: string, trimmed: number): void {
    if (trimmed === 0) this.#untrimmed.add(name)
    else this.#byTrimmed.insert({ seq: trimmed, name })
  }

  remove(name: string, trimmed: number): void {
    if (trimmed === 0) this.#untrimmed.delete(name)
    else this.#byTrimmed.remove(trimmed)
  }

  /** Removes and returns the first topic. */
  shift(): { readonly name: string; readonly trimmed: number } {
    for (const name of this.#untrimmed) {
      this.#untrimmed.delete(name)
      return { name, trimmed: 0 }
    }
    const { name, seq } = this.#byTrimmed.shift()
    return { name, trimmed: seq }
  }
}
