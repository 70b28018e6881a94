import type { Filter } from '../topic.ts'
import type { Turns } from '../turn.ts'
import type { Tables } from './tables.ts'

/** What is known of one filter: of its entries after `after`, the last that was trimmed, kept up to date since. */
interface Known {
  readonly after: number
  trimmed: number
  /** Under way: the search through what was trimmed before, and whether each of those who wait for it has gone. */
  search: Promise<void> | undefined
  readonly waiting: (() => boolean)[]
}

/** Patterns of filters whose knowledge is kept, the latest used ones: each is compared with every entry that is trimmed. */
const MAX_KNOWN = 500

/**
 * Which entries of a filter were trimmed. Named topics are looked up. For a pattern every topic that was trimmed may have to be
 * looked at, up to a million: that is done once for a filter, in turns between which others run, for as long as somebody waits
 * for it, and kept up to date while the filter's readers catch up.
 */
export class Gaps {
  readonly #tables: Tables
  readonly #turns: Turns
  readonly #known = new Map<Filter, Known>()

  constructor(tables: Tables, turns: Turns) {
    this.#tables = tables
    this.#turns = turns
  }

  /** Takes note of an entry that is being trimmed. */
  note(topic: string, seq: number): void {
    for (const [filter, known] of this.#known)
      if (seq > known.after && seq > known.trimmed && filter.matches(topic)) known.trimmed = seq
  }

  /** Whether `last` can answer for what comes after this seq. */
  knows(filter: Filter, after: number): boolean {
    if (filter.patterns.length === 0) return true
    const known = this.#known.get(filter)
    return known !== undefined && known.after <= after && known.search === undefined
  }

  /** Resolves when the search is done, or given up; by then another reader may have asked for one that goes further back. */
  async learn(filter: Filter, after: number, isGone: () => boolean): Promise<void> {
    const kept = this.#known.get(filter)
    const known = kept && kept.after <= after ? kept : this.#begin(filter, after)
    known.waiting.push(isGone)
    this.#known.delete(filter)
    this.#known.set(filter, known)
    this.#forget()
    await known.search
  }

  /** The last seq of the filter that was trimmed; 0 for none. */
  last(filter: Filter): number {
    let last = this.#known.get(filter)?.trimmed ?? 0
    for (const topic of filter.topics) last = Math.max(last, this.#tables.topic(topic)?.trimmed ?? 0)
    return last
  }

  #begin(filter: Filter, after: number): Known {
    const known: Known = { after, trimmed: 0, search: undefined, waiting: [] }
    let isDone = false
    known.search = this.#search(filter, known)
      .then((isOver) => {
        isDone = isOver
      })
      .finally(() => {
        known.search = undefined
        known.waiting.length = 0
        if (!isDone && this.#known.get(filter) === known) this.#known.delete(filter)
      })
    return known
  }

  /** Resolves with whether it came to an end. */
  async #search(filter: Filter, known: Known): Promise<boolean> {
    let looked = 0
    for (const { topic, trimmed } of this.#tables.trimmedAfter(known.after)) {
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
    for (const { patterns: own } of this.#known.keys()) patterns += own.length
    for (const [filter, { search }] of this.#known) {
      if (patterns <= MAX_KNOWN) return
      if (search !== undefined) continue
      this.#known.delete(filter)
      patterns -= filter.patterns.length
    }
  }
}
