import { AppError } from '../errors.ts'
import type { ActiveRuns } from './active-runs.ts'
import type { Alarm } from './alarm.ts'
import type { Draft } from './draft.ts'
import type { GroupCommit } from './group.ts'
import type { RunDraft } from './run-draft.ts'
import { isActive, lostError, stateOfRun } from './run-rules.ts'
import type { Claim, RunLog, RunQuery, RunState } from './runs.ts'
import { SWEEP_STEP } from './sweeper.ts'
import type { RunRow, Tables } from './tables.ts'
import type { Transactions } from './transactions.ts'

interface Parts {
  readonly tables: Tables
  readonly transactions: Transactions
  readonly commits: GroupCommit
  readonly active: ActiveRuns
  readonly alarm: Alarm
  /** Resolves when everything in the tables is durable. @throws AppError `log_unusable` */
  readonly settled: () => Promise<void>
  /** @throws AppError `log_unusable` */
  readonly assertOpen: () => void
}

/** The runs of a log of one process. */
export class LocalRuns implements RunLog {
  readonly #parts: Parts
  readonly #watchers: ((topic: string) => void)[] = []
  #isClosed = false

  constructor(parts: Parts) {
    this.#parts = parts
    this.setAlarm()
  }

  async claim(topic: string, claim: Claim): Promise<RunState> {
    const row = await this.#change(({ runs }) => runs.claim(topic, claim))
    this.setAlarm()
    return stateOfRun(row, Date.now() + row.leaseMs) // another claim may follow in the same turn
  }

  async renew(topic: string, token: string): Promise<RunState> {
    const { active, assertOpen } = this.#parts
    assertOpen()
    const row = active.get(topic)
    if (row?.token !== token) throw lostError(topic)
    active.touch(topic)
    if (active.toStore(row)) await this.#change(({ runs }) => runs.keepLease(topic))
    const present = active.get(topic)
    return this.#stateOf(present?.token === token ? present : row)
  }

  async stop(topic: string, fence?: number): Promise<RunState | undefined> {
    await this.#change(({ runs }) => runs.stop(topic, fence))
    const [state] = await this.get([topic])
    return state
  }

  async get(topics: readonly string[]): Promise<readonly (RunState | undefined)[]> {
    const { settled, active, tables } = this.#parts
    await settled()
    return topics.map((topic) => {
      const row = active.get(topic) ?? tables.run(topic)
      return row && row.fence > 0 ? this.#stateOf(row) : undefined
    })
  }

  async list({ prefix, after, limit }: RunQuery): Promise<readonly RunState[]> {
    const { settled, tables } = this.#parts
    await settled()
    return tables.runs(prefix, after, limit).map((row) => this.#stateOf(row))
  }

  watch(changed: (topic: string) => void): void {
    this.#watchers.push(changed)
  }

  /** Applies the runs of a durable draft. */
  committed({ changed, alive }: RunDraft): void {
    const { active } = this.#parts
    active.commit(changed)
    for (const topic of alive) active.touch(topic)
    for (const topic of changed.keys()) for (const tell of this.#watchers) tell(topic)
  }

  /** Reads the runs again after a failed commit. */
  recovered(): void {
    this.#parts.active.load()
    this.setAlarm()
  }

  /** Ends the runs that are over, in steps, and resolves when each has ended or will be tried again. */
  async sweep(): Promise<void> {
    const { active, commits } = this.#parts
    const now = performance.now() // at a later time, runs that could not be ended would be taken again
    let over: readonly RunRow[]
    do {
      over = active.takeEnded(now, SWEEP_STEP)
      const ends = over.map(({ topic, token }) =>
        commits.append([{ topic, close: true, outcome: 'abandoned', run: token }]),
      )
      await Promise.allSettled(ends) // the producer was faster, or the log cannot be written now
    } while (over.length === SWEEP_STEP && !this.#isClosed)
    this.setAlarm()
  }

  /** Sets the alarm for the next run that may be over. Without a run no alarm is needed. */
  setAlarm(): void {
    const { active, alarm } = this.#parts
    if (this.#isClosed || active.nextEnd === Number.POSITIVE_INFINITY) return
    alarm.set(Math.ceil(Date.now() + active.nextEnd - performance.now()), () => void this.sweep())
  }

  close(): void {
    this.#isClosed = true
    this.#parts.alarm.clear()
  }

  /** Commits a change, between two commits of appends, see `Transactions.run`. @throws the AppError of `apply`, and those of the commit */
  async #change<Result>(apply: (draft: Draft) => Result): Promise<Result> {
    const { commits, transactions, assertOpen } = this.#parts
    assertOpen()
    let result: Result | undefined
    try {
      await commits.between(() =>
        transactions.run((draft) => {
          result = apply(draft)
          return result
        }),
      )
    } catch (cause) {
      if (cause instanceof AppError) throw cause
      throw new AppError('outcome_unknown', 'Cannot tell whether the log took this: its commit failed; ask again', {
        cause,
      })
    }
    return result as Result
  }

  #stateOf(row: RunRow): RunState {
    return stateOfRun(row, isActive(row) ? this.#parts.active.leaseEnd(row.topic) : undefined)
  }
}
