import { Sequence } from '../sequence.ts'
import type { Filter } from '../topic.ts'
import { type Frame, joinFrames } from './frame.ts'

/** Whole frames after a position. */
export interface Chunk {
  /** Missing when no entry up to `to` matches. */
  readonly bytes?: Uint8Array
  /** The position after this chunk. */
  readonly to: number
  /** Seq of the last frame; `to` if there is none. */
  readonly sent: number
  /** Frames. */
  readonly count: number
  /** A limit cut the chunk: there may be more. */
  readonly full: boolean
  /** Topics that these frames close, and the seqs of the closes. */
  readonly closes: readonly { readonly topic: string; readonly seq: number }[]
  /** Seq of the last frame that was passed over for a newer one of its topic. */
  readonly conflated?: number
}

/** A filter, and whether a reader that is behind gets every frame or the newest one of each topic. */
export interface Selection {
  readonly filter: Filter
  readonly latest: boolean
}

/** The newest frames, by seq without a hole, bounded in count and bytes. */
export class Window {
  readonly #maxCount: number
  readonly #maxBytes: number
  #frames = new Sequence<Frame>()
  /** The same by topic, so that readers of few topics do not look at the others. */
  #byTopic = new Map<string, Sequence<Frame>>()
  #bytes = 0
  #head: number
  #edition = 0

  /** @param head seq of the log's newest entry: the window begins after it */
  constructor(head: number, maxCount: number, maxBytes: number) {
    this.#head = head
    this.#maxCount = maxCount
    this.#maxBytes = maxBytes
  }

  get head(): number {
    return this.#head
  }

  /** The seq before the oldest frame: a position below it has to be read from the log. */
  get floor(): number {
    return this.#head - this.#frames.size
  }

  push(frame: Frame): void {
    // The log has skipped entries: readers have to read them from it.
    if (frame.seq !== this.#head + 1) this.#forget()
    this.#head = frame.seq
    this.#frames.push(frame)
    const own = this.#byTopic.get(frame.topic)
    if (own) own.push(frame)
    else this.#byTopic.set(frame.topic, new Sequence([frame]))
    this.#bytes += frame.weight
    while (this.#frames.size > this.#maxCount || this.#bytes > this.#maxBytes) this.#drop()
  }

  /** Forgets every frame, because some entries were erased: readers behind the head ask the log. */
  clear(): void {
    this.#forget()
    this.#edition++
  }

  /** Rises with every `clear`: chunks made before must not be handed out any more. */
  get edition(): number {
    return this.#edition
  }

  /** The chunk after `position`, which is at or above the floor, and may be above the head. Matches as many frames as one turn may. */
  chunk(position: number, { filter, latest }: Selection, maxBytes: number): Chunk {
    const head = Math.max(position, this.#head)
    const to = filter.patterns.length > 0 ? Math.min(head, position + filter.matchBudget) : head
    const passed: number[] = []
    const frames = this.#after(position, to, filter)
    const chunk = chunkOf(latest ? this.#standing(frames, passed) : frames, to, maxBytes)
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

  /** Of each topic the frames that say how it stands; notes the frames that are passed over. */
  *#standing(frames: Iterable<Frame>, passed: number[]): Generator<Frame, void, undefined> {
    for (const frame of frames)
      if (isStanding(frame, this.#byTopic.get(frame.topic)!)) yield frame
      else passed.push(frame.seq)
  }

  #drop(): void {
    const { topic, weight } = this.#frames.shift()
    this.#bytes -= weight
    const own = this.#byTopic.get(topic)!
    own.shift()
    if (own.size === 0) this.#byTopic.delete(topic)
  }

  #forget(): void {
    this.#frames = new Sequence<Frame>()
    this.#byTopic = new Map()
    this.#bytes = 0
  }
}

/** Whether a frame says how its topic stands: it is the newest, or the newest is a close without data and this is the one before. */
function isStanding(frame: Frame, topic: Sequence<Frame>): boolean {
  const newest = topic.last()
  return frame === newest || (newest?.hasData === false && frame === topic.last(1))
}

/** Merges lists that are each in order. */
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

/** Frames up to `maxBytes`, or the first one, as one chunk. @param scannedTo the position after the chunk, unless `maxBytes` cuts it */
export function chunkOf(frames: Iterable<Frame>, scannedTo: number, maxBytes: number): Chunk {
  const taken: Frame[] = []
  const closes: { topic: string; seq: number }[] = []
  let bytes = 0
  let sent = scannedTo
  for (const frame of frames) {
    if (taken.length > 0 && bytes + frame.length > maxBytes)
      return { bytes: joinFrames(taken, bytes), to: sent, sent, count: taken.length, full: true, closes }
    taken.push(frame)
    bytes += frame.length
    sent = frame.seq
    if (frame.closes) closes.push({ topic: frame.topic, seq: frame.seq })
  }
  const rest = { to: scannedTo, sent, count: taken.length, full: false, closes }
  return taken.length === 0 ? rest : { ...rest, bytes: joinFrames(taken, bytes) }
}
