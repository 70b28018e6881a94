import { readFileSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'

/** How long a measurement of the heap is used. */
const HEAP_MS = 500
/** Part of the open files that streams may use: the rest is for the log, its lock, and publishers. */
const PART_OF_FILES = 0.8

/**
 * Returns a check whether more than this part of the heap is in use. The result is always false on a runtime that does not report a heap
 * limit. Not for Bun, which reports no limit, and counts every object for each answer: 44 ms for 700,000 objects (measured).
 */
export function heapCheck(watermark: number): () => boolean {
  let nextMeasurement = 0
  let isAbove = false
  return () => {
    const now = performance.now()
    if (now < nextMeasurement) return isAbove
    nextMeasurement = now + HEAP_MS
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
    isAbove = limit > 0 && used > watermark * limit
    return isAbove
  }
}

/** How many streams the open-files limit of this process leaves room for; undefined if the system does not say. */
export function maxStreamsByFiles(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? undefined : Math.floor(PART_OF_FILES * Number(soft))
  } catch {
    return // Only Linux has /proc.
  }
}
