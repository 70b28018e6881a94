import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** The processor for attackers; the hub and its healthy readers use the others, and the rest of this one. */
export const ATTACKER = 1

/** Pins a process and all its threads to one processor, if there are two and `taskset` exists. */
export function pin(pid: number, core: number): void {
  if (availableParallelism() < 2) return
  try {
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', `${core}`, `${pid}`], { stdio: 'ignore' })
  } catch {
    // The processes share processors, and the figures get worse.
  }
}
