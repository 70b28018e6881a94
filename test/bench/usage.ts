import { readFileSync } from 'node:fs'
import { rssOf, withoutProc } from '../server/server.ts'

/** The kernel's unit of processor time: USER_HZ, 100 on every Linux that Node runs on. */
const TICK_US = 10_000
const LOOK_MS = 10

export interface Usage {
  /** Processor time of the process, including the kernel's for it. */
  readonly cpuUs: number
  /** The most resident memory observed. */
  readonly peakBytes: number
}

/** Measures a process until the returned function is called. That function returns undefined on a machine without `/proc`. */
export function watchUsage(pid: number): () => Usage | undefined {
  if (withoutProc) return () => undefined
  const began = cpuOf(pid)
  let peak = 0
  const look = () => {
    peak = Math.max(peak, rssOf(pid))
  }
  const timer = setInterval(look, LOOK_MS)
  return () => {
    clearInterval(timer)
    look()
    return { cpuUs: cpuOf(pid) - began, peakBytes: peak }
  }
}

function cpuOf(pid: number): number {
  // proc(5): the name may contain anything, so fields are counted after its parenthesis; utime and stime are 14 and 15.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_US
}
