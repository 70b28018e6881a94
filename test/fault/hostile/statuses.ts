import type { Stream } from '../../server/stream.ts'

/** Counts the answers with each status. */
export function statusesOf(streams: readonly Stream[]): Readonly<Record<string, number>> {
  const statuses: Record<string, number> = {}
  for (const { status } of streams) if (status > 0) statuses[status] = (statuses[status] ?? 0) + 1
  return statuses
}
