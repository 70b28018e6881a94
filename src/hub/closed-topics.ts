import type { Outcome } from '../log/runs.ts'
import type { Filter } from '../topic.ts'
import type { LogReader } from './log-reader.ts'

/** A topic, the seq of the entry that closed it, and how it ended. */
export interface Close {
  readonly topic: string
  readonly seq: number
  readonly outcome: Outcome
}

const nothing: readonly Close[] = []
const none = new Map<string, never>()

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
  /** The closes that a look has found and the reader was not told yet. */
  #found = none as Map<string, Close>
  #looks = 0
  #isWhole = true
  /** For each topic that was deleted during a look: the seq up to which it was deleted. */
  #deletedTo = none as Map<string, number>

  constructor(filter: Filter) {
    this.#filter = filter
  }

  /** Whether a look has found a close that was not reported to the reader yet. */
  get hasFound(): boolean {
    return this.#found.size > 0
  }

  /** Whether every topic that has ended so far has ended as `done`. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  /** Whether the close of every topic was reported to the reader. Always false for a filter with a pattern. */
  get isComplete(): boolean {
    return this.#filter.patterns.length === 0 && this.#reported.size === this.#filter.topics.size
  }

  /** Whether looks have found that every topic was closed at or before a position. Always false for a filter with a pattern. */
  isCompleteAt(position: number): boolean {
    if (this.#filter.patterns.length > 0) return false
    return [...this.#filter.topics].every(
      (topic) => (this.#found.get(topic)?.seq ?? Number.POSITIVE_INFINITY) <= position,
    )
  }

  /** Asks the log which topics are closed. @throws AppError `log_unavailable`, `log_unusable` */
  async look(logReader: LogReader): Promise<void> {
    const filter = this.#filter
    this.#looks++
    try {
      const closed = await logReader.closed(filter.topics)
      if (this.#filter !== filter) return // `change` was called during the look, and its caller looks again
      for (const [topic, close] of closed)
        if (close.seq > (this.#deletedTo.get(topic) ?? 0)) this.#found = put(this.#found, topic, close)
    } finally {
      this.#looks--
      if (this.#looks === 0) this.#deletedTo = none as Map<string, number>
    }
  }

  /** Takes the closes at or before a position that were not reported yet, and counts them as reported. */
  due(position: number): readonly Close[] {
    if (this.#found.size === 0) return nothing
    const due: Close[] = []
    for (const [topic, close] of this.#found) {
      const { seq } = close
      if (seq > position) continue
      this.#found.delete(topic)
      if ((this.#reported.get(topic) ?? 0) >= seq) continue
      this.#reported = put(this.#reported, topic, seq)
      this.#noteOutcome(close.outcome)
      due.push(close)
    }
    return due
  }

  /** Counts a close as reported, because the reader got the entry that closes the topic. */
  note({ topic, seq, outcome }: Close): void {
    if (!this.#filter.topics.has(topic)) return
    this.#reported = put(this.#reported, topic, seq)
    this.#noteOutcome(outcome)
  }

  /** Forgets the close of a topic if the topic was deleted up to that close or later. @returns whether the stream names this topic */
  reopen(topic: string, upTo: number): boolean {
    if (!this.#filter.topics.has(topic)) return false
    if (this.#looks > 0) this.#deletedTo = put(this.#deletedTo, topic, Math.max(upTo, this.#deletedTo.get(topic) ?? 0))
    if ((this.#reported.get(topic) ?? Number.POSITIVE_INFINITY) <= upTo) this.#reported.delete(topic)
    if ((this.#found.get(topic)?.seq ?? Number.POSITIVE_INFINITY) <= upTo) this.#found.delete(topic)
    return true
  }

  #noteOutcome({ outcome }: Outcome): void {
    if (outcome !== 'done') this.#isWhole = false
  }

  /** Gives the stream other topics. The caller has to `look` again. */
  change(filter: Filter): void {
    this.#filter = filter
    for (const topic of [...this.#reported.keys()]) if (!filter.topics.has(topic)) this.#reported.delete(topic)
    this.#found = none as Map<string, Close>
  }
}

/** Adds to a map. Streams share the empty map `none` until they add something, which most never do. */
function put<T>(map: Map<string, T>, topic: string, value: T): Map<string, T> {
  return (map as Map<string, unknown>) === none ? new Map([[topic, value]]) : map.set(topic, value)
}
