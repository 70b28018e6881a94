import { readFileSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'

/** How long one look at the heap answers for it. */
const LOOK_MS = 500
/** Part of the open files that streams may take: the rest is for the log, its lock, and who publishes. */
const PART_OF_FILES = 0.8

/**
 * Tells whether more than this part of the heap is taken; never, where the runtime does not say how large it may grow. Not for Bun, which
 * does not, and counts every object when it is asked: 44 ms for 700,000 (measured).
 */
export function shortOf(watermark: number): () => boolean {
  let lookAt = 0
  let isShort = false
  return () => {
    const now = performance.now()
    if (now < lookAt) return isShort
    lookAt = now + LOOK_MS
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
    isShort = limit > 0 && used > watermark * limit
    return isShort
  }
}

/** Most streams that this process has files for; nothing where it cannot be told. */
export function streamsByFiles(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? undefined : Math.floor(PART_OF_FILES * Number(soft))
  } catch {
    return // There is no /proc but on Linux.
  }
}
