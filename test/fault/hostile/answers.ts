import { setPriority } from 'node:os'
import { soak } from '../../seed.ts'
import { ATTACKER, pin } from './core.ts'

/** The calls that a process beside the test offers. */
export type Calls = Readonly<Record<string, (...given: never[]) => unknown>>

export interface Question {
  readonly id: number
  readonly name: string
  readonly given: readonly unknown[]
}

export interface Answer {
  readonly id: number
  readonly result?: unknown
  /** Why the call failed. */
  readonly error?: string
}

/** Runs the calls of the test, and ends with it. */
export function answers(calls: Calls): void {
  process.on('disconnect', () => process.exit())
  process.on('message', async ({ id, name, given }: Question) => {
    const answer = (said: Omit<Answer, 'id'>) => process.send!({ id, ...said } satisfies Answer)
    try {
      answer({ result: await calls[name]!(...(given as never[])) })
    } catch (error) {
      answer({ error: error instanceof Error ? `${error.stack}` : String(error) })
    }
  })
}

/**
 * The same for an attacker, which would have a machine of its own: here it runs with low priority, and in the soak on a processor
 * of its own.
 */
export function attacks(calls: Calls): void {
  setPriority(10)
  if (soak) pin(process.pid, ATTACKER)
  answers(calls)
}
