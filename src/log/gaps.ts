import type { Filter } from '../topic.ts'
import type { Turns } from '../turn.ts'
import type { Tables } from './tables.ts'

/** What is known of one filter: of its entries after `after`, the last that was trimmed, kept up to date since. */
interface Known {
  readonly filter: Filter
  readonly after: number
  trimmed: number
  /** When somebody asked for it last. */
  usedAt: number
  /** Under way: the search through what was trimmed before, and whether each of those who wait for it has gone. */
  search: Promise<void> | undefined
  readonly waiting: (() => boolean)[]
}

/**
 * Patterns of filters whose knowledge is kept, the latest used ones, and for how long after somebody asked for it: each is compared
 * with every entry that is trimmed (500 of them and 1,000 entries took 190 ms).
 */
const MAX_KNOWN = 100
const KNOWN_MS = 5000

/**
 * Which entries of a filter were trimmed. Named topics are looked up. For a pattern every topic that was trimmed may have to be
 * looked at, up to a million: that is done once for a filter, in turns between which others run, for as long as somebody waits
 * for it, and kept up to date while the filter's readers catch up.
 */
export class Gaps {
  readonly #tables: Tables
  readonly #turns: Turns
  readonly #now: () => number
  /** By the filter's key: equal ones of many readers are one. */
  readonly #known = new Map<string, Known>()

  /** @param now in ms */
  constructor(tables: Tables, turns: Turns, now = () => performance.now()) {
    this.#tables = tables
    this.#turns = turns
    this.#now = now
  }

  /** Takes note of an entry that has been trimmed, once the commit that trimmed it is durable. */
  note(topic: string, seq: number): void {
    if (this.#known.size === 0) return
    const oldest = this.#now() - KNOWN_MS
    for (const [key, known] of this.#known) {
      if (known.usedAt < oldest && known.search === undefined) this.#known.delete(key)
      else if (seq > known.after && seq > known.trimmed && known.filter.matches(topic)) known.trimmed = seq
    }
  }

  /** Forgets everything: what was trimmed is unknown, because a commit failed and may have worked all the same. */
  forgetAll(): void {
    this.#known.clear()
  }

  /** Whether `last` can answer for what comes after this seq. */
  knows(filter: Filter, after: number): boolean {
    if (filter.patterns.length === 0) return true
    const known = this.#known.get(filter.key)
    if (known === undefined || known.after > after || known.search !== undefined) return false
    known.usedAt = this.#now()
    return true
  }

  /** Resolves when the search is done, or given up; by then another reader may have asked for one that goes further back. */
  async learn(filter: Filter, after: number, isGone: () => boolean): Promise<void> {
    const kept = this.#known.get(filter.key)
    const known = kept && kept.after <= after ? kept : this.#begin(filter, after)
    known.waiting.push(isGone)
    known.usedAt = this.#now()
    this.#known.delete(filter.key)
    this.#known.set(filter.key, known)
    this.#forget()
    await known.search
  }

  /** The last seq of the filter that was trimmed; 0 for none. */
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

  /** Resolves with whether it came to an end. */
  async #search(filter: Filter, known: Known): Promise<boolean> {
    let looked = 0
    for (const { topic, trimmed } of this.#tables.trimmedAfter(known.after, filter.perTurn)) {
      if (trimmed > known.trimmed && filter.matches(topic)) known.trimmed = trimmed
      if (known.trimmed >= trimmed && this.#tables.newestTrimmedFirst) return true
      if (++looked % filter.perTurn > 0) continue
      await this.#turns.next()
      if (known.waiting.every((isGone) => isGone())) return false
    }
    return true
  }

  /** The longest unused ones, but none that somebody is waiting for. */
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
