import type { Alarm } from './alarm.ts'
import { type ClockStep, effectiveTime } from './clock.ts'
import type { GroupCommit } from './group.ts'
import type { Tables } from './tables.ts'
import type { Transactions } from './transactions.ts'

/** Rows that one step of a sweep looks at, and most runs that it ends. */
export const SWEEP_STEP = 1000
/** Shortest time in ms between two sweeps for entries that are too old, unless their greatest age is shorter. */
const SWEEP_MS = 60_000

interface Parts {
  readonly tables: Tables
  readonly transactions: Transactions
  readonly commits: GroupCommit
  /** Greatest age of an entry in ms; without one no alarm is set. */
  readonly ageMs: number | undefined
  readonly alarm: Alarm
}

/** Trims and forgets what has to go without an append: what a commit has left, and what is too old. */
export class Sweeper {
  readonly #parts: Parts
  #sweeping: Promise<void> | undefined
  #isMore = false
  /** The steps of the clock for which the alarm is set; undefined if it is not set. */
  #alarmSteps: readonly ClockStep[] | undefined
  /** When the last sweep ended, in ms since 1970. */
  #sweptAt = 0
  #isClosed = false

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Sweeps in steps, with commits in between, and resolves when nothing is left to do. Never rejects: if a step fails, the next append,
   * check or sweep tries again, and /ready reports the error.
   */
  sweep(): Promise<void> {
    this.#isMore = true
    this.#sweeping ??= this.#run()
    return this.#sweeping
  }

  /**
   * Sets the alarm for the time at which the oldest entry is too old, if it is not set, or was before the clock was set back. Without an
   * entry no alarm is needed.
   */
  setAlarm(): void {
    const { tables, transactions, ageMs, alarm } = this.#parts
    const { steps } = transactions.state
    if (ageMs === undefined || this.#alarmSteps === steps || this.#isClosed || this.#sweeping) return
    const [oldest] = tables.rows(transactions.trimFrom, 1).rows
    if (!oldest) return
    this.#alarmSteps = steps
    const due = effectiveTime(oldest, steps) + ageMs
    const sweptAt = Math.min(this.#sweptAt, Date.now())
    alarm.set(Math.max(due, sweptAt + Math.min(ageMs, SWEEP_MS)), () => void this.sweep())
  }

  /** No step begins after this. */
  close(): void {
    this.#isClosed = true
    this.#parts.alarm.clear()
  }

  async #run(): Promise<void> {
    const { transactions, commits } = this.#parts
    this.#alarmSteps = undefined
    try {
      while (this.#isMore && !this.#isClosed)
        await commits.between(async () => {
          let isMore = false
          this.#isMore = false
          await transactions.run((draft) => {
            isMore = draft.tidy(SWEEP_STEP, true)
          })
          if (isMore) this.#isMore = true
        })
    } catch {
      // The state of the log says why; see `sweep`.
    }
    this.#sweeping = undefined
    this.#sweptAt = Date.now()
    this.setAlarm()
  }
}
