import type { Filter } from '../topic.ts'
import { type Frame, join } from './frame.ts'

/** Whole frames that a reader is owed after some position. */
export interface Chunk {
  /** Missing when nothing up to `to` was for this reader. */
  readonly bytes?: Uint8Array
  /** The reader's position once it has this. */
  readonly to: number
  /** Seq of the last frame; `to` where there is none. */
  readonly sent: number
  /** Cut by the size limit: there is more. */
  readonly full: boolean
  /** Topics that these frames close. */
  readonly closes: readonly string[]
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
  #frames: Frame[] = []
  #start = 0
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
    return this.#head - (this.#frames.length - this.#start)
  }

  push(frame: Frame): void {
    // A log that skipped told us too little: what is missing is to be read from it, never passed over.
    if (frame.seq !== this.#head + 1) {
      this.#frames = []
      this.#start = this.#bytes = 0
    }
    this.#frames.push(frame)
    this.#head = frame.seq
    this.#bytes += frame.bytes.byteLength
    while (this.#frames.length - this.#start > this.#maxCount || this.#bytes > this.#maxBytes) {
      this.#bytes -= this.#frames[this.#start]!.bytes.byteLength
      delete this.#frames[this.#start++]
    }
    if (this.#start > 1024 && this.#start * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#start)
      this.#start = 0
    }
  }

  /** Forgets every frame, for some say what has been erased: whoever is behind the head asks the log. */
  clear(): void {
    this.#frames = []
    this.#start = this.#bytes = 0
    this.#edition++
  }

  /** Rises with every `clear`: what was made of frames before is not to be handed out any more. */
  get edition(): number {
    return this.#edition
  }

  /** What is due after `position`, which is not below the floor; it may be above the head. */
  chunk(position: number, { filter, latest }: Selection, maxBytes: number): Chunk {
    const head = Math.max(position, this.#head)
    const frames = this.#after(position, filter)
    if (!latest) return chunkOf(frames, head, maxBytes)
    const { newest, passed } = newestOfEach([...frames])
    const chunk = chunkOf(newest, head, maxBytes)
    const conflated = passed.find((seq) => seq <= chunk.to)
    return conflated === undefined ? chunk : { ...chunk, conflated }
  }

  *#after(position: number, filter: Filter): Iterable<Frame> {
    for (let i = this.#frames.length - (this.#head - position); i < this.#frames.length; i++) {
      const frame = this.#frames[i]!
      if (filter.matches(frame.topic)) yield frame
    }
  }
}

/** Of each topic the newest frame, and with a close that says nothing the one before; of the others the seqs, newest first. */
function newestOfEach(frames: readonly Frame[]): { newest: readonly Frame[]; passed: readonly number[] } {
  const seen = new Set<string>()
  const newest: Frame[] = []
  const passed: number[] = []
  for (const frame of frames.toReversed()) {
    if (seen.has(frame.topic)) passed.push(frame.seq)
    else newest.push(frame)
    if (frame.says) seen.add(frame.topic)
  }
  return { newest: newest.reverse(), passed }
}

/** Frames up to `maxBytes`, or the first one, as one chunk. @param scannedTo the position if none is cut off */
export function chunkOf(frames: Iterable<Frame>, scannedTo: number, maxBytes: number): Chunk {
  const pieces: Uint8Array[] = []
  const closes: string[] = []
  let bytes = 0
  let sent = scannedTo
  for (const frame of frames) {
    if (pieces.length > 0 && bytes + frame.bytes.byteLength > maxBytes)
      return { bytes: join(pieces), to: sent, sent, full: true, closes }
    pieces.push(frame.bytes)
    bytes += frame.bytes.byteLength
    sent = frame.seq
    if (frame.closes) closes.push(frame.topic)
  }
  const rest = { to: scannedTo, sent, full: false, closes }
  return pieces.length === 0 ? rest : { ...rest, bytes: join(pieces) }
}
