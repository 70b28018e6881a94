import type { Filter } from '../topic.ts'
import type { Turns } from '../turn.ts'
import type { Tables } from './tables.ts'

/** What is known of one filter: `trimmed`, the seq of its last trimmed entry after `after`, kept up to date; 0 for none. */
interface Known {
  readonly filter: Filter
  readonly after: number
  trimmed: number
  /** When a reader last asked about this filter. */
  usedAt: number
  /** The search that is under way, if there is one. */
  search: Promise<void> | undefined
  /** For each reader that waits for the search: a function that tells whether the reader has gone. */
  readonly waiting: (() => boolean)[]
}

/**
 * Most patterns that are kept, and how long a filter is kept after its last use, in ms. The limits exist because each pattern is compared
 * with every trimmed entry (500 patterns and 1,000 entries took 190 ms).
 */
const MAX_KNOWN = 100
const KNOWN_MS = 5000

/**
 * Finds the last trimmed entry of a filter. Named topics are looked up. A pattern may match any of a million trimmed topics, so a search
 * goes through them, in turns between which other work runs, for as long as a reader waits. Its result is kept up to date while readers of
 * the filter catch up.
 */
export class Gaps {
  readonly #tables: Tables
  readonly #turns: Turns
  readonly #now: () => number
  /** By the filter's key, so that readers with equal filters share one search; in the order of their last use. */
  readonly #known = new Map<string, Known>()

  /** @param now the clock, in ms; tests pass their own */
  constructor(tables: Tables, turns: Turns, now = () => performance.now()) {
    this.#tables = tables
    this.#turns = turns
    this.#now = now
  }

  /** Notes a trimmed entry, once its commit is durable. */
  note(topic: string, seq: number): void {
    if (this.#known.size === 0) return
    const oldest = this.#now() - KNOWN_MS
    for (const [key, known] of this.#known) {
      if (known.usedAt < oldest && known.search === undefined) this.#known.delete(key)
      else if (seq > known.after && seq > known.trimmed && known.filter.matches(topic)) known.trimmed = seq
    }
  }

  /** Forgets everything, because a failed commit may have trimmed entries all the same. */
  forgetAll(): void {
    this.#known.clear()
  }

  /** Whether `last` is right for a reader after this seq. If not, call `learn` first. */
  knows(filter: Filter, after: number): boolean {
    if (filter.patterns.length === 0) return true
    const known = this.#known.get(filter.key)
    if (known === undefined || known.after > after || known.search !== undefined) return false
    this.#use(known)
    return true
  }

  /** Searches. Resolves when the search has ended or stopped. Ask `knows` again: a reader may have begun a search after an earlier seq. */
  async learn(filter: Filter, after: number, isGone: () => boolean): Promise<void> {
    const kept = this.#known.get(filter.key)
    const known = kept && kept.after <= after ? kept : this.#begin(filter, after)
    known.waiting.push(isGone)
    this.#use(known)
    this.#forget()
    await known.search
  }

  /** The last trimmed seq of the filter; 0 for none. */
  last(filter: Filter): number {
    let last = this.#known.get(filter.key)?.trimmed ?? 0
    for (const topic of filter.topics) last = Math.max(last, this.#tables.topic(topic)?.trimmed ?? 0)
    return last
  }

  #begin(filter: Filter, after: number): Known {
    const known: Known = { filter, after, trimmed: 0, usedAt: 0, search: undefined, waiting: [] }
    let isDone = false
    known.search = this.#search(filter, known)
      .then((isOver) => {
        isDone = isOver
      })
      .finally(() => {
        known.search = undefined
        known.waiting.length = 0
        if (!isDone && this.#known.get(filter.key) === known) this.#known.delete(filter.key)
      })
    return known
  }

  /** Resolves with true if the search ended, and with false if it stopped because all waiting readers had gone. */
  async #search(filter: Filter, known: Known): Promise<boolean> {
    let looked = 0
    for (const { topic, trimmed } of this.#tables.trimmedAfter(known.after, filter.matchBudget)) {
      if (trimmed > known.trimmed && filter.matches(topic)) known.trimmed = trimmed
      if (known.trimmed >= trimmed && this.#tables.newestTrimmedFirst) return true
      if (++looked % filter.matchBudget > 0) continue
      await this.#turns.next()
      if (known.waiting.every((isGone) => isGone())) return false
    }
    return true
  }

  #use(known: Known): void {
    const { key } = known.filter
    known.usedAt = this.#now()
    this.#known.delete(key)
    this.#known.set(key, known)
  }

  /** While there are too many patterns, forgets the filters whose last use is longest ago, except those being searched. */
  #forget(): void {
    let patterns = 0
    for (const { filter } of this.#known.values()) patterns += filter.patterns.length
    for (const [key, { filter, search }] of this.#known) {
      if (patterns <= MAX_KNOWN) return
      if (search !== undefined) continue
      this.#known.delete(key)
      patterns -= filter.patterns.length
    }
  }
}
