import type { Frame } from './frame.ts'
import type { Group } from './interests.ts'
import { type Chunk, chunkOf } from './window.ts'

/** Most bytes of all kept chunks. */
const MAX_BYTES = 8 * 1024 ** 2
/** What keeping a chunk costs besides its bytes. */
const EACH_BYTES = 200

interface Shared {
  readonly from: number
  readonly chunk: Chunk
}

interface Newest {
  readonly from: number
  readonly frame: Frame
  readonly groups: Set<Group>
  /** Made when the first reader asks. */
  chunk?: Chunk
}

/**
 * Chunks that readers at the same position share: the newest entry, made once for all groups that it concerns, and the last chunk that
 * was made for each group. Drops the oldest when they grow too large.
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

  /** Takes an entry that came alone, and the groups that it concerns: their readers need not match it again. */
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
