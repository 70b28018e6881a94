import type { Group } from './interests.ts'
import type { Chunk } from './window.ts'

/** What chunks that are kept may weigh in all. */
const MAX_BYTES = 8 * 1024 ** 2
/** What keeping one costs besides its bytes. */
const EACH_BYTES = 200

interface Shared {
  readonly from: number
  readonly chunk: Chunk
}

/** The chunk that was made last for a reader of each group, kept for the others at the same position; the oldest ones go. */
export class SharedChunks {
  readonly #byGroup = new Map<Group, Shared>()
  #bytes = 0

  get(group: Group, from: number): Chunk | undefined {
    const shared = this.#byGroup.get(group)
    return shared?.from === from ? shared.chunk : undefined
  }

  keep(group: Group, from: number, chunk: Chunk): void {
    this.forget(group)
    this.#byGroup.set(group, { from, chunk })
    this.#bytes += weightOf(chunk)
    for (const oldest of this.#byGroup.keys()) {
      if (this.#bytes <= MAX_BYTES) break
      this.forget(oldest)
    }
  }

  clear(): void {
    this.#byGroup.clear()
    this.#bytes = 0
  }

  forget(group: Group): void {
    const shared = this.#byGroup.get(group)
    if (!shared) return
    this.#byGroup.delete(group)
    this.#bytes -= weightOf(shared.chunk)
  }
}

function weightOf({ bytes }: Chunk): number {
  return EACH_BYTES + (bytes?.byteLength ?? 0)
}
