import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** Who is attacked, and those who listen to it, have a processor; those who attack have another one. */
export const cores = { attacked: 0, attacker: 1 } as const

/** Has a process, all its threads and what they start run on one processor only, where there are two and a tool that does it. */
export function pin(pid: number, core: number): void {
  if (availableParallelism() < 2) return
  try {
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', `${core}`, `${pid}`], { stdio: 'ignore' })
  } catch {
    // They share, and the figures are the worse for it.
  }
}
