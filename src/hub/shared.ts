import type { HubContext } from './context.ts'
import { type Frame, keyOfForm } from './frame.ts'
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
  /** The frame as a chunk, by the key of its form. Each is made when the first reader asks for it. */
  readonly chunks: Map<string, Chunk>
}

/**
 * Chunks that readers at the same position share: one chunk with the newest entry in each form, for all groups that it concerns, and for each group the
 * last chunk that was made for it. When the chunks of groups exceed `MAX_BYTES`, the oldest are dropped.
 */
export class SharedChunks {
  #newest: Newest | undefined
  readonly #byGroup = new Map<Group, Shared>()
  #bytes = 0

  /** The window's chunk after a position. Readers of a group at the same position get the same one. Undefined at the window's head. */
  chunk(
    group: Group,
    from: number,
    { window, maxChunkBytes }: Pick<HubContext, 'window' | 'maxChunkBytes'>,
  ): Chunk | undefined {
    if (from >= window.head) return
    const known = this.get(group, from)
    if (known && (known.full || known.to === window.head)) return known
    const chunk = window.chunk(from, group.selection, maxChunkBytes)
    if (group.size > 1) this.keep(group, from, chunk)
    return chunk
  }

  get(group: Group, from: number): Chunk | undefined {
    const newest = this.#newest
    if (newest?.from === from && newest.groups.has(group)) return chunkOfNewest(newest, group)
    const shared = this.#byGroup.get(group)
    return shared?.from === from ? shared.chunk : undefined
  }

  /** Keeps an entry that was delivered alone, and the groups that it concerns, so that their readers need not match the topic again. */
  note(frame: Frame, groups: Set<Group>): void {
    this.#newest = { from: frame.seq - 1, frame, groups, chunks: new Map() }
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

function chunkOfNewest({ frame, chunks }: Newest, { selection }: Group): Chunk {
  const key = keyOfForm(selection)
  const known = chunks.get(key)
  if (known) return known
  const chunk = chunkOf([frame], selection, frame.seq, frame.bytes(selection).byteLength)
  chunks.set(key, chunk)
  return chunk
}

function weightOf({ bytes }: Chunk): number {
  return EACH_BYTES + (bytes?.byteLength ?? 0)
}
