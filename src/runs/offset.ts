import { formatPosition, parsePosition } from '../hub/position.ts'

/** Where to read entries for the chunks after an offset, and how many chunks of the first entry to skip. */
export interface ChunkBeginning {
  readonly after: string
  readonly skip: number
}

/** The offset of a chunk: the id of its entry, or `id.index` if others of the entry follow. */
export function formatOffset(id: string, index: number, isLast: boolean): string {
  return isLast ? id : `${id}.${index}`
}

/** Where the chunks after an offset begin; undefined if the text is no offset. */
export function parseOffset(offset: string): ChunkBeginning | undefined {
  const [, id, index] = /^(.*-\d+)(?:\.(\d{1,9}))?$/.exec(offset) ?? []
  const position = parsePosition(id ?? '')
  if (!position) return
  if (index === undefined) return { after: id!, skip: 0 }
  return { after: formatPosition(position.epoch, Math.max(0, position.seq - 1)), skip: Number(index) + 1 }
}
