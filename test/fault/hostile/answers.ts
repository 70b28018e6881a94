import { setPriority } from 'node:os'
import { soak } from '../../seed.ts'
import { ATTACKER, pin } from './core.ts'

/** What a process beside the test can be asked to do. */
export type Calls = Readonly<Record<string, (...given: never[]) => unknown>>

export interface Question {
  readonly id: number
  readonly name: string
  readonly given: readonly unknown[]
}

export interface Answer {
  readonly id: number
  readonly result?: unknown
  /** Why there is none. */
  readonly error?: string
}

/** Does what the test asks, and ends with it. */
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
 * The same for an attacker, who has a machine of his own: of this one he gets what the others leave, and where figures are taken a
 * processor of his own.
 */
export function attacks(calls: Calls): void {
  setPriority(10)
  if (soak) pin(process.pid, ATTACKER)
  answers(calls)
}
