import type { Frame } from './frame.ts'
import type { Group } from './interests.ts'
import { type Chunk, chunkOf } from './window.ts'

/** Most bytes of the chunks kept for groups. */
const MAX_BYTES = 8 * 1024 ** 2
/** Bytes that keeping a chunk costs in addition to its content. */
const EACH_BYTES = 200

interface Shared {
  readonly from: number
  readonly chunk: Chunk
}

interface Newest {
  readonly from: number
  readonly frame: Frame
  readonly groups: Set<Group>
  /** Made when the first reader asks for it. */
  chunk?: Chunk
}

/**
 * Chunks that readers at the same position share: one chunk with the newest entry, for all groups that it concerns, and for each group the
 * last chunk that was made for it. When the chunks of groups exceed `MAX_BYTES`, the oldest are dropped.
 */
export class SharedChunks {
  #newest: Newest | undefined
  readonly #byGroup = new Map<Group, Shared>()
  #bytes = 0

  get(group: Group, from: number): Chunk | undefined {
    const newest = this.#newest
    if (newest?.from === from && newest.groups.has(group)) {
      newest.chunk ??= chunkOf([newest.frame], newest.frame.seq, newest.frame.bytes.byteLength)
      return newest.chunk
    }
    const shared = this.#byGroup.get(group)
    return shared?.from === from ? shared.chunk : undefined
  }

  /** Keeps an entry that was delivered alone, and the groups that it concerns, so that their readers need not match the topic again. */
  note(frame: Frame, groups: Set<Group>): void {
    this.#newest = { from: frame.seq - 1, frame, groups }
  }

  keep(group: Group, from: number, chunk: Chunk): void {
    this.#drop(group)
    this.#byGroup.set(group, { from, chunk })
    this.#bytes += weightOf(chunk)
    for (const oldest of this.#byGroup.keys()) {
      if (this.#bytes <= MAX_BYTES) break
      this.#drop(oldest)
    }
  }

  clear(): void {
    this.#newest = undefined
    this.#byGroup.clear()
    this.#bytes = 0
  }

  /** Drops the chunks of a group that has at most one reader. */
  forget(group: Group): void {
    this.#newest?.groups.delete(group)
    this.#drop(group)
  }

  #drop(group: Group): void {
    const shared = this.#byGroup.get(group)
    if (!shared) return
    this.#byGroup.delete(group)
    this.#bytes -= weightOf(shared.chunk)
  }
}

function weightOf({ bytes }: Chunk): number {
  return EACH_BYTES + (bytes?.byteLength ?? 0)
}
