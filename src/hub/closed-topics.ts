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
 * The closed topics of one stream. The entry of a close reports closes after the stream's position. For earlier ones `look` asks the log
 * whenever the position has jumped: when the stream begins, at a gap, at a change of topics.
 *
 * A delete reopens a topic. The stream may hear of it before or after the answer to a look; seqs tell which of the two is later.
 */
export class ClosedTopics {
  #filter: Filter
  /** Closes that the reader has been told of. */
  #reported = none as Map<string, number>
  /** Closes that a look has found and the reader has yet to be told of. */
  #found = none as Map<string, number>
  #looks = 0
  /** The seq up to which topics were deleted while a look was under way. */
  #deletedTo = none as Map<string, number>

  constructor(filter: Filter) {
    this.#filter = filter
  }

  /** Whether a look has found a close that the reader has yet to be told of. */
  get hasFound(): boolean {
    return this.#found.size > 0
  }

  /** Whether the reader has been told that all its topics are closed. Never with a pattern. */
  get isComplete(): boolean {
    return this.#filter.patterns.length === 0 && this.#reported.size === this.#filter.topics.size
  }

  /** Whether all topics were found closed at or before a position. */
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
      if (this.#filter !== filter) return // the topics were changed, which looks again
      for (const [topic, seq] of closed)
        if (seq > (this.#deletedTo.get(topic) ?? 0)) this.#found = put(this.#found, topic, seq)
    } finally {
      this.#looks--
      if (this.#looks === 0) this.#deletedTo = none as Map<string, number>
    }
  }

  /** Takes the closes at or before a position that the reader has yet to be told of. */
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

  /** Notes a close whose entry the reader got. */
  note({ topic, seq }: Close): void {
    if (this.#filter.topics.has(topic)) this.#reported = put(this.#reported, topic, seq)
  }

  /** Notes that a topic was deleted up to a seq. @returns whether the stream has that topic */
  reopen(topic: string, upTo: number): boolean {
    if (!this.#filter.topics.has(topic)) return false
    if (this.#looks > 0) this.#deletedTo = put(this.#deletedTo, topic, Math.max(upTo, this.#deletedTo.get(topic) ?? 0))
    for (const known of [this.#reported, this.#found])
      if ((known.get(topic) ?? Number.POSITIVE_INFINITY) <= upTo) known.delete(topic)
    return true
  }

  /** Goes on with other topics; the caller looks again. */
  change(filter: Filter): void {
    this.#filter = filter
    for (const topic of [...this.#reported.keys()]) if (!filter.topics.has(topic)) this.#reported.delete(topic)
    this.#found = none as Map<string, number>
  }
}

/** Adds to a map. Most streams never need a map of their own. */
function put(map: Map<string, number>, topic: string, seq: number): Map<string, number> {
  return map === none ? new Map([[topic, seq]]) : map.set(topic, seq)
}
