import { Sequence } from '../sequence.ts'
import type { Filter } from '../topic.ts'
import type { Close } from './closed-topics.ts'
import { type Form, type Frame, joinFrames } from './frame.ts'

/** The frames after a position, encoded as one piece. */
export interface Chunk {
  /** Missing if no entry up to `to` matches, or none has bytes in this form. */
  readonly bytes?: Uint8Array
  /** The position after this chunk. */
  readonly to: number
  /** Seq of the last frame; `to` if the chunk has no frames. */
  readonly sent: number
  /** Number of frames. */
  readonly count: number
  /** Whether a limit cut the chunk off: there may be more frames. */
  readonly full: boolean
  /** The topics that these frames close. */
  readonly closes: readonly Close[]
  /** Seq of the last entry found to be skipped for a newer one of its topic. In a chunk from the log it may be after `to`. */
  readonly conflated?: number
}

/**
 * What readers share: a filter, the form of the frames, and whether a reader that is behind gets only the newest frame of each topic
 * (`latest`) or every frame.
 */
export interface Selection extends Form {
  readonly filter: Filter
  readonly latest: boolean
}

/** The newest frames, with consecutive seqs, limited in count and in the bytes that they keep. */
export class Window {
  readonly #maxCount: number
  readonly #maxBytes: number
  #frames = new Sequence<Frame>()
  /** The frames of each topic, so that readers of few topics do not look at frames of other topics. */
  #byTopic = new Map<string, Sequence<Frame>>()
  /** The weight of all frames. A frame that is encoded in another form adds to it. */
  #kept = { bytes: 0 }
  #head: number
  #edition = 0

  /** @param head seq of the log's newest entry; the window begins after this entry */
  constructor(head: number, maxCount: number, maxBytes: number) {
    this.#head = head
    this.#maxCount = maxCount
    this.#maxBytes = maxBytes
  }

  get head(): number {
    return this.#head
  }

  /** The seq before the oldest frame. Readers at a lower position read from the log. */
  get floor(): number {
    return this.#head - this.#frames.size
  }

  push(frame: Frame): void {
    // Entries are missing between the head and this frame: readers before it read from the log.
    if (frame.seq !== this.#head + 1) this.#forget()
    this.#head = frame.seq
    this.#frames.push(frame)
    const own = this.#byTopic.get(frame.topic)
    if (own) own.push(frame)
    else this.#byTopic.set(frame.topic, new Sequence([frame]))
    frame.countedIn = this.#kept
    this.#kept.bytes += frame.weight
    this.#shrink()
  }

  /** Forgets every frame, because entries were erased. Readers behind the head then read from the log. */
  clear(): void {
    this.#forget()
    this.#edition++
  }

  /** Rises with every `clear`. Chunks of an earlier edition must not be sent any more. */
  get edition(): number {
    return this.#edition
  }

  /** The chunk after `position`, which must be at or above the floor and may be above the head. Looks at most at one turn's frames. */
  chunk(position: number, selection: Selection, maxBytes: number): Chunk {
    const { filter, latest } = selection
    const head = Math.max(position, this.#head)
    const to = filter.patterns.length > 0 ? Math.min(head, position + filter.matchBudget) : head
    const passed: number[] = []
    const frames = this.#after(position, to, filter)
    const chunk = chunkOf(latest ? this.#standing(frames, passed) : frames, selection, to, maxBytes)
    this.#shrink() // the frames may have been encoded in another form
    const conflated = passed.findLast((seq) => seq <= chunk.to)
    return { ...chunk, full: chunk.full || to < head, ...(conflated !== undefined && { conflated }) }
  }

  *#after(position: number, to: number, filter: Filter): Generator<Frame, void, undefined> {
    const { topics, patterns } = filter
    if (patterns.length === 0 && topics.size < to - position) {
      yield* merged(
        Array.from(topics, (topic) => this.#byTopic.get(topic)?.after(position)).filter((of) => of !== undefined),
      )
      return
    }
    const matches = filter.memoizedMatcher()
    for (const frame of this.#frames.after(position)) {
      if (frame.seq > to) return
      if (matches(frame.topic)) yield frame
    }
  }

  /** Yields the frames that hold the current value of their topic, and adds the seqs of the others to `passed`. */
  *#standing(frames: Iterable<Frame>, passed: number[]): Generator<Frame, void, undefined> {
    for (const frame of frames)
      if (isStanding(frame, this.#byTopic.get(frame.topic)!)) yield frame
      else passed.push(frame.seq)
  }

  #shrink(): void {
    while (this.#frames.size > this.#maxCount || this.#kept.bytes > this.#maxBytes) this.#drop()
  }

  #drop(): void {
    const frame = this.#frames.shift()
    this.#kept.bytes -= frame.weight
    frame.countedIn = undefined
    const own = this.#byTopic.get(frame.topic)!
    own.shift()
    if (own.size === 0) this.#byTopic.delete(frame.topic)
  }

  #forget(): void {
    this.#frames = new Sequence<Frame>()
    this.#byTopic = new Map()
    this.#kept = { bytes: 0 }
  }
}

/** Whether a frame holds its topic's current value: it is the newest, or the last one before a newest frame that closes without data. */
function isStanding(frame: Frame, topic: Sequence<Frame>): boolean {
  const newest = topic.last()
  return frame === newest || (newest?.hasData === false && frame === topic.last(1))
}

/** Merges lists that are each sorted by seq. */
function* merged(lists: readonly Iterator<Frame, void, undefined>[]): Generator<Frame, void, undefined> {
  const heads = lists.map((list) => ({ list, next: list.next() }))
  for (;;) {
    let first: (typeof heads)[number] | undefined
    for (const head of heads)
      if (!head.next.done && (!first || head.next.value.seq < first.next.value!.seq)) first = head
    if (!first) return
    yield first.next.value!
    first.next = first.list.next()
  }
}

/** Frames as one chunk of at most `maxBytes`, or one longer frame. @param scannedTo the position after the frames, if all fit */
export function chunkOf(frames: Iterable<Frame>, form: Form, scannedTo: number, maxBytes: number): Chunk {
  const taken: Frame[] = []
  const closes: Close[] = []
  let bytes = 0
  let sent = scannedTo
  for (const frame of frames) {
    const length = frame.length(form)
    if (bytes > 0 && bytes + length > maxBytes)
      return { bytes: joinFrames(taken, bytes, form), to: sent, sent, count: taken.length, full: true, closes }
    taken.push(frame)
    bytes += length
    sent = frame.seq
    if (frame.outcome) closes.push({ topic: frame.topic, seq: frame.seq, outcome: frame.outcome })
  }
  const rest = { to: scannedTo, sent, count: taken.length, full: false, closes }
  return bytes === 0 ? rest : { ...rest, bytes: joinFrames(taken, bytes, form) }
}
