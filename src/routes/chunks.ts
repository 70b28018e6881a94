import { join } from '../hub/frame.ts'

/** A buffer holds up to this many chunks of any size, and more if they average a KiB: a chunk costs a hundred bytes besides its data. */
const MAX_SMALL_CHUNKS = 100
const KIB = 1024
/** A chunk that fills less than this part of its memory is copied: Deno allocates 64 KiB for every chunk, however short. */
const MIN_PART = 1 / 4

/** Collects the chunks of a byte stream, however small they are. */
export class ChunkBuffer {
  #chunks: Uint8Array[] = []
  #length = 0

  /** In bytes. */
  get length(): number {
    return this.#length
  }

  push(chunk: Uint8Array): void {
    const { length } = this.#chunks
    if (length >= MAX_SMALL_CHUNKS && length * KIB > this.#length) this.#chunks = [join(this.#chunks)]
    const isSmallPart = chunk.byteLength < MIN_PART * chunk.buffer.byteLength
    this.#chunks.push(isSmallPart ? chunk.slice() : chunk)
    this.#length += chunk.byteLength
  }

  /** Returns all bytes in one piece, and empties the buffer. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = join(this.#chunks) as Uint8Array<ArrayBuffer>
    this.#chunks = []
    this.#length = 0
    return bytes
  }
}
