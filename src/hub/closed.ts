import type { Filter } from '../topic.ts'
import type { Reads } from './reads.ts'

/** A topic and the seq of the entry that closed it. */
export interface Close {
  readonly topic: string
  readonly seq: number
}

const nothing: readonly Close[] = []
const none: ReadonlyMap<string, number> = new Map()

/**
 * Which topics of one stream are closed. A close after the stream's position is learned from its entry. For one at or before the
 * position, which no entry will tell of, the log is asked (`look`) whenever the position has jumped: when the stream begins, at a gap, at
 * a change of topics.
 *
 * A delete reopens a topic, and may be heard of before or after the answer to a look that it overtook: seqs tell which of the two is later.
 */
export class ClosedTopics {
  #filter: Filter
  /** Topics that the reader was told of, with the seq of the close. */
  #told = none as Map<string, number>
  /** What looks have found and the reader was not told of yet. */
  #found = none as Map<string, number>
  #looks = 0
  /** Up to which seq topics have been deleted since the first look under way began. */
  #deletedTo = none as Map<string, number>

  constructor(filter: Filter) {
    this.#filter = filter
  }

  /** Whether nothing can come any more: all topics are closed, and a pattern never is. */
  get isComplete(): boolean {
    return this.#filter.patterns.length === 0 && this.#told.size === this.#filter.topics.size
  }

  /** Whether all topics were found closed at or before a position. */
  isCompleteAt(position: number): boolean {
    if (this.#filter.patterns.length > 0) return false
    return [...this.#filter.topics].every((topic) => (this.#found.get(topic) ?? Number.POSITIVE_INFINITY) <= position)
  }

  /** Asks the log. @throws AppError `log_unavailable`, `log_unusable` */
  async look(reads: Reads): Promise<void> {
    const filter = this.#filter
    this.#looks++
    try {
      const closed = await reads.closed(filter.topics)
      if (this.#filter !== filter) return // the stream has other topics now, and another look
      for (const [topic, seq] of closed)
        if (seq > (this.#deletedTo.get(topic) ?? 0)) this.#found = put(this.#found, topic, seq)
    } finally {
      this.#looks--
      if (this.#looks === 0) this.#deletedTo = none as Map<string, number>
    }
  }

  /** Takes what the reader has to be told of at a position: each close once. */
  due(position: number): readonly Close[] {
    if (this.#found.size === 0) return nothing
    const due: Close[] = []
    for (const [topic, seq] of this.#found) {
      if (seq > position) continue
      this.#found.delete(topic)
      if ((this.#told.get(topic) ?? 0) >= seq) continue
      this.#told = put(this.#told, topic, seq)
      due.push({ topic, seq })
    }
    return due
  }

  /** Notes a close whose entry the reader was given. */
  tell({ topic, seq }: Close): void {
    if (this.#filter.topics.has(topic)) this.#told = put(this.#told, topic, seq)
  }

  /** A topic was deleted up to a seq. @returns whether it is one of the stream's */
  reopen(topic: string, upTo: number): boolean {
    if (!this.#filter.topics.has(topic)) return false
    if (this.#looks > 0) this.#deletedTo = put(this.#deletedTo, topic, Math.max(upTo, this.#deletedTo.get(topic) ?? 0))
    for (const known of [this.#told, this.#found])
      if ((known.get(topic) ?? Number.POSITIVE_INFINITY) <= upTo) known.delete(topic)
    return true
  }

  /** Goes on with other topics, of which a look is due. */
  change(filter: Filter): void {
    this.#filter = filter
    for (const topic of [...this.#told.keys()]) if (!filter.topics.has(topic)) this.#told.delete(topic)
    this.#found = none as Map<string, number>
  }
}

/** The map with one more entry; most streams never need one of their own. */
function put(map: Map<string, number>, topic: string, seq: number): Map<string, number> {
  return map === none ? new Map([[topic, seq]]) : map.set(topic, seq)
}
