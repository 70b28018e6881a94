import type { Filter } from '../topic.ts'
import { nextTurn } from '../turn.ts'
import type { Tables } from './tables.ts'

/** What is known of one filter: of its entries after `after`, the last that was trimmed, kept up to date since. */
interface Known {
  readonly after: number
  trimmed: number
  /** Under way: the search through what was trimmed before. */
  search: Promise<void> | undefined
}

/** Filters with patterns whose knowledge is kept, the latest used ones. */
const MAX_KNOWN = 64
/** Trimmed topics that one turn looks at. */
const PAGE = 1000

/**
 * Which entries of a filter were trimmed. Named topics are looked up. For a pattern every topic that was trimmed may have to be
 * looked at, up to a million: that is done once for a filter, in pages between which others run, and kept up to date while
 * the filter's readers catch up.
 */
export class Gaps {
  readonly #tables: Tables
  readonly #known = new Map<Filter, Known>()

  constructor(tables: Tables) {
    this.#tables = tables
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

  /** Resolves when the search is done; by then another reader may have asked for one that goes further back. */
  async learn(filter: Filter, after: number): Promise<void> {
    const kept = this.#known.get(filter)
    const known = kept && kept.after <= after ? kept : this.#begin(filter, after)
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
    const known: Known = { after, trimmed: 0, search: undefined }
    known.search = this.#search(filter, known).finally(() => {
      known.search = undefined
    })
    return known
  }

  async #search(filter: Filter, known: Known): Promise<void> {
    let looked = 0
    for (const { topic, trimmed } of this.#tables.trimmedAfter(known.after)) {
      if (trimmed > known.trimmed && filter.matches(topic)) known.trimmed = trimmed
      if (known.trimmed >= trimmed && this.#tables.newestTrimmedFirst) return
      if (++looked % PAGE === 0) await nextTurn()
    }
  }

  /** The longest unused ones, but none that somebody is waiting for. */
  #forget(): void {
    for (const [filter, { search }] of this.#known) {
      if (this.#known.size <= MAX_KNOWN) return
      if (search === undefined) this.#known.delete(filter)
    }
  }
}
