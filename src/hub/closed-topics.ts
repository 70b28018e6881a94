import type { Filter } from '../topic.ts'
import type { LogReader } from './log-reader.ts'

/** A topic and the seq of the entry that closed it. */
export interface Close {
  readonly topic: string
  readonly seq: number
}

const nothing: readonly Close[] = []
const none: ReadonlyMap<string, number> = new Map()

/**
 * The closed topics of one stream. A topic that closes after the stream's position is reported by the entry that closes it. Topics that
 * were closed before are found by `look`, which asks the log whenever the position has jumped: when the stream begins, at a gap, and when
 * its topics are changed.
 *
 * Deleting a topic reopens it. The stream may learn of the deletion before or after the log answers a look; the seqs of the deletion and
 * of the close tell which is later.
 */
export class ClosedTopics {
  #filter: Filter
  /** Topics whose close was reported to the reader, with the seq of the close. */
  #reported = none as Map<string, number>
  /** Topics whose close a look has found and the reader was not told yet, with the seq of the close. */
  #found = none as Map<string, number>
  #looks = 0
  /** For each topic that was deleted during a look: the seq up to which it was deleted. */
  #deletedTo = none as Map<string, number>

  constructor(filter: Filter) {
    this.#filter = filter
  }

  /** Whether a look has found a close that was not reported to the reader yet. */
  get hasFound(): boolean {
    return this.#found.size > 0
  }

  /** Whether the close of every topic was reported to the reader. Always false for a filter with a pattern. */
  get isComplete(): boolean {
    return this.#filter.patterns.length === 0 && this.#reported.size === this.#filter.topics.size
  }

  /** Whether looks have found that every topic was closed at or before a position. Always false for a filter with a pattern. */
  isCompleteAt(position: number): boolean {
    if (this.#filter.patterns.length > 0) return false
    return [...this.#filter.topics].every((topic) => (this.#found.get(topic) ?? Number.POSITIVE_INFINITY) <= position)
  }

  /** Asks the log which topics are closed. @throws AppError `log_unavailable`, `log_unusable` */
  async look(logReader: LogReader): Promise<void> {
    const filter = this.#filter
    this.#looks++
    try {
      const closed = await logReader.closed(filter.topics)
      if (this.#filter !== filter) return // `change` was called during the look, and its caller looks again
      for (const [topic, seq] of closed)
        if (seq > (this.#deletedTo.get(topic) ?? 0)) this.#found = put(this.#found, topic, seq)
    } finally {
      this.#looks--
      if (this.#looks === 0) this.#deletedTo = none as Map<string, number>
    }
  }

  /** Takes the closes at or before a position that were not reported yet, and counts them as reported. */
  due(position: number): readonly Close[] {
    if (this.#found.size === 0) return nothing
    const due: Close[] = []
    for (const [topic, seq] of this.#found) {
      if (seq > position) continue
      this.#found.delete(topic)
      if ((this.#reported.get(topic) ?? 0) >= seq) continue
      this.#reported = put(this.#reported, topic, seq)
      due.push({ topic, seq })
    }
    return due
  }

  /** Counts a close as reported, because the reader got the entry that closes the topic. */
  note({ topic, seq }: Close): void {
    if (this.#filter.topics.has(topic)) this.#reported = put(this.#reported, topic, seq)
  }

  /** Forgets the close of a topic if the topic was deleted up to that close or later. @returns whether the stream names this topic */
  reopen(topic: string, upTo: number): boolean {
    if (!this.#filter.topics.has(topic)) return false
    if (this.#looks > 0) this.#deletedTo = put(this.#deletedTo, topic, Math.max(upTo, this.#deletedTo.get(topic) ?? 0))
    for (const known of [this.#reported, this.#found])
      if ((known.get(topic) ?? Number.POSITIVE_INFINITY) <= upTo) known.delete(topic)
    return true
  }

  /** Gives the stream other topics. The caller has to `look` again. */
  change(filter: Filter): void {
    this.#filter = filter
    for (const topic of [...this.#reported.keys()]) if (!filter.topics.has(topic)) this.#reported.delete(topic)
    this.#found = none as Map<string, number>
  }
}

/** Adds to a map. Streams share the empty map `none` until they add something, which most never do. */
function put(map: Map<string, number>, topic: string, seq: number): Map<string, number> {
  return map === none ? new Map([[topic, seq]]) : map.set(topic, seq)
}
