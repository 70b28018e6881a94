import type { ActiveRuns } from './active-runs.ts'
import type { LogOptions, Message } from './log.ts'
import {
  closedRunError,
  isActive,
  placeClaim,
  placeStop,
  surplusStops,
  takenError,
  tooManyRunsError,
} from './run-rules.ts'
import type { Claim } from './runs.ts'
import type { RunRow, Tables } from './tables.ts'

/** Stops that were asked before the first claim: a commit that adds one forgets at most this many. */
const STOP_STEP = 16

/** The part of a draft that concerns runs. */
export class RunDraft {
  /** The runs that the commit changes, by topic; undefined for one that ends or is deleted. */
  readonly changed = new Map<string, RunRow | undefined>()
  /** Topics whose producer has given a sign of life. */
  readonly alive = new Set<string>()
  readonly #tables: Tables
  readonly #options: LogOptions
  readonly #active: ActiveRuns
  readonly #now: number

  constructor(tables: Tables, options: LogOptions, active: ActiveRuns, now: number) {
    this.#tables = tables
    this.#options = options
    this.#active = active
    this.#now = now
  }

  /** The run of a topic, if it is active. */
  active(topic: string): RunRow | undefined {
    return this.changed.has(topic) ? this.changed.get(topic) : this.#active.get(topic)
  }

  /** Whether the lease of a run and the time after it have ended, without a sign of life in this commit. */
  isOver(topic: string): boolean {
    return !this.alive.has(topic) && this.#active.isOver(topic)
  }

  /** When the lease of an active run ends, in ms since 1970, after the signs of life in this commit. */
  leaseEnd(topic: string): number | undefined {
    const row = this.alive.has(topic) ? this.active(topic) : undefined
    return row ? Date.now() + row.leaseMs : this.#active.leaseEnd(topic)
  }

  /** Claims a topic, see `RunLog.claim`. @throws AppError `run_taken`, `topic_closed`, `too_many_runs`: nothing was changed */
  claim(topic: string, claim: Claim): RunRow {
    const { maxRuns, stopAgeMs } = this.#options
    const placed = placeClaim(topic, claim, this.#row(topic), {
      closed: this.#closed(topic),
      isFull: this.#active.size >= maxRuns,
      isLeased: this.#active.isLeased(topic),
      oldestStop: this.#now - stopAgeMs,
    })
    if (placed === 'run_taken') throw takenError(topic, this.leaseEnd(topic), this.#now)
    if (placed === 'topic_closed') throw closedRunError(topic)
    if (placed === 'too_many_runs') throw tooManyRunsError()
    const row = this.#active.toStore(placed) ?? placed
    this.#set(row)
    return row
  }

  /**
   * Stores that the producer of a topic was asked to stop, see `RunLog.stop`.
   *
   * @returns whether that changes anything
   * @throws AppError `topic_closed`: nothing was changed
   */
  stop(topic: string, fence: number | undefined): boolean {
    const row = this.#row(topic)
    if (this.#closed(topic) > 0 && row?.outcome === undefined) throw closedRunError(topic)
    const placed = placeStop(topic, row, fence, this.#now)
    if (!placed) return false
    if (isActive(placed)) this.#set(placed)
    else this.#keepStop(placed)
    return true
  }

  /** Ends the run of a topic that a message closes. */
  end({ topic, outcome, detail }: Message): void {
    const row = this.active(topic)!
    this.#set({ ...row, outcome: outcome ?? 'done', ...(detail !== undefined && { detail }) })
  }

  remove(topic: string): void {
    const row = this.#row(topic)
    if (!row) return
    if (row.fence > 0) this.changed.set(topic, undefined)
    this.#tables.removeRun(topic)
  }

  /** Notes a message of a producer. The message may be a duplicate of an earlier producer, which is no sign of life. */
  noteLife({ topic, run }: Message): void {
    if (this.active(topic)?.token !== run) return
    this.alive.add(topic)
    this.keepLease(topic)
  }

  /** Stores the end of the lease of a run, where the storage keeps it. */
  keepLease(topic: string): void {
    const row = this.active(topic)
    const kept = row && this.#active.toStore(row)
    if (kept) this.#set(kept)
  }

  #row(topic: string): RunRow | undefined {
    return this.active(topic) ?? this.#tables.run(topic)
  }

  #closed(topic: string): number {
    return this.#tables.topic(topic)?.closed ?? 0
  }

  #set(row: RunRow): void {
    this.changed.set(row.topic, isActive(row) ? row : undefined)
    this.#tables.setRun(row)
  }

  #keepStop(row: RunRow): void {
    this.#tables.setRun(row)
    const { stopCount, stopAgeMs } = this.#options
    const oldest = this.#tables.oldestStops(STOP_STEP)
    const gone = surplusStops(oldest, this.#tables.stopCount(), stopCount, this.#now - stopAgeMs)
    for (const { topic } of oldest.slice(0, gone)) this.#tables.removeRun(topic)
  }
}
