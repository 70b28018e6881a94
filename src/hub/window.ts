import { Sequence } from '../sequence.ts'
import type { Filter } from '../topic.ts'
import { type Frame, joinFrames } from './frame.ts'

/** Whole frames that a reader is owed after some position. */
export interface Chunk {
  /** Missing when nothing up to `to` was for this reader. */
  readonly bytes?: Uint8Array
  /** The reader's position once it has this. */
  readonly to: number
  /** Seq of the last frame; `to` where there is none. */
  readonly sent: number
  /** How many frames these are. */
  readonly count: number
  /** Cut by a limit: there may be more. */
  readonly full: boolean
  /** Topics that these frames close, with the seq of the close. */
  readonly closes: readonly { readonly topic: string; readonly seq: number }[]
  /** Seq of the last frame that was passed over for a newer one of its topic. */
  readonly conflated?: number
}

/** What a reader is given of what its filter matches: every frame, or the newest one of each topic. */
export interface Selection {
  readonly filter: Filter
  readonly latest: boolean
}

/** The newest frames, by seq without a hole, bounded in count and bytes. */
export class Window {
  readonly #maxCount: number
  readonly #maxBytes: number
  #frames = new Sequence<Frame>()
  /** The same by topic, so that readers of some topics pass over none of the others. */
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
    // A log that skipped told us too little: what is missing is to be read from it, never passed over.
    if (frame.seq !== this.#head + 1) this.#forget()
    this.#head = frame.seq
    this.#frames.push(frame)
    const own = this.#byTopic.get(frame.topic)
    if (own) own.push(frame)
    else this.#byTopic.set(frame.topic, new Sequence([frame]))
    this.#bytes += frame.weight
    while (this.#frames.size > this.#maxCount || this.#bytes > this.#maxBytes) this.#drop()
  }

  /** Forgets every frame, for some say what has been erased: whoever is behind the head asks the log. */
  clear(): void {
    this.#forget()
    this.#edition++
  }

  /** Rises with every `clear`: what was made of frames before is not to be handed out any more. */
  get edition(): number {
    return this.#edition
  }

  /** What is due after `position`, of as many frames as one turn may compare with a pattern; not below the floor, maybe above the head. */
  chunk(position: number, { filter, latest }: Selection, maxBytes: number): Chunk {
    const head = Math.max(position, this.#head)
    const to = filter.patterns.length > 0 ? Math.min(head, position + filter.perTurn) : head
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
    const matches = filter.remembering()
    for (const frame of this.#frames.after(position)) {
      if (frame.seq > to) return
      if (matches(frame.topic)) yield frame
    }
  }

  /** Of each topic what says how it stands; notes what is passed over for that. */
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

/** Whether a frame says how its topic stands: the newest, and with a close that says nothing the one before. */
function isStanding(frame: Frame, topic: Sequence<Frame>): boolean {
  const newest = topic.last()
  return frame === newest || (newest?.says === false && frame === topic.last(1))
}

/** Several lists, each in order, as one. */
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

/** Frames up to `maxBytes`, or the first one, as one chunk. @param scannedTo the position if none is cut off */
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
