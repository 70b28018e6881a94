import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** The processor of those who attack: who is attacked, and those who listen to it, have the others, and what these leave of this one. */
export const ATTACKER = 1

/** Has a process, all its threads and what they start run on one processor only, where there are two and a tool that does it. */
export function pin(pid: number, core: number): void {
  if (availableParallelism() < 2) return
  try {
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', `${core}`, `${pid}`], { stdio: 'ignore' })
  } catch {
    // They share, and the figures are the worse for it.
  }
}
