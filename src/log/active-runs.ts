import { DueQueue } from './due.ts'
import type { RunRow, Tables } from './tables.ts'

/** How long the log waits before it tries again to end a run. */
const AGAIN_MS = 1000

/**
 * The active runs of a local log, in memory: their rows, and when their leases end. The ends are times of `performance.now()`, so a clock
 * that is set does not move them. A renewal changes nothing else, so it costs no commit.
 *
 * After opening each lease lasts anew: while the log was closed, nobody could renew it. Storage that is closed between two requests
 * (`keepsLeases`) stores the ends instead, now and then.
 */
export class ActiveRuns {
  readonly #tables: Tables
  readonly #keepsLeases: boolean
  #rows = new Map<string, RunRow>()
  #leaseEnds = new Map<string, number>()
  /** When claims may be over. Those that another claim has replaced are passed over. */
  readonly #due = new DueQueue<Pick<RunRow, 'topic' | 'token'>>()

  constructor(tables: Tables, keepsLeases: boolean) {
    this.#tables = tables
    this.#keepsLeases = keepsLeases
    this.load()
  }

  /** Reads the rows from the tables: when the log opens, and after a failed commit. */
  load(): void {
    const [before, ends] = [this.#rows, this.#leaseEnds]
    this.#rows = new Map()
    this.#leaseEnds = new Map()
    for (const row of this.#tables.activeRuns()) {
      const { topic, fence, leaseMs, leaseEnd } = row
      if (before.get(topic)?.fence === fence) {
        // It stays due when it was: a run that could not be ended is tried again only `AGAIN_MS` later.
        this.#rows.set(topic, row)
        this.#leaseEnds.set(topic, ends.get(topic)!)
      } else this.#start(row, this.#keepsLeases ? fromNow(leaseEnd) : performance.now() + leaseMs)
    }
  }

  get size(): number {
    return this.#rows.size
  }

  get(topic: string): RunRow | undefined {
    return this.#rows.get(topic)
  }

  /** Whether the lease of a run lasts. */
  isLeased(topic: string): boolean {
    return performance.now() < (this.#leaseEnds.get(topic) ?? 0)
  }

  /** Whether the lease of a run and the time after it have ended. */
  isOver(topic: string): boolean {
    return performance.now() >= this.#endOf(topic)
  }

  /** When the lease of an active run ends, in ms since 1970; undefined for other topics. */
  leaseEnd(topic: string): number | undefined {
    const end = this.#leaseEnds.get(topic)
    return end === undefined ? undefined : Math.round(Date.now() + end - performance.now())
  }

  /** The time of `performance.now()` at which a run may be over; infinity without runs. */
  get nextEnd(): number {
    return this.#due.next
  }

  /** A sign of life of a run: its lease lasts anew. */
  touch(topic: string): void {
    const row = this.#rows.get(topic)
    if (row) this.#leaseEnds.set(topic, performance.now() + row.leaseMs)
  }

  /** The row to store after a sign of life; undefined if the end that is stored is late enough, or if none is. */
  toStore(row: RunRow): RunRow | undefined {
    if (!this.#keepsLeases) return
    // What is stored is a third of a lease late, and is at most a third behind: a lease never ends early.
    const leaseEnd = Math.round(Date.now() + (4 / 3) * row.leaseMs)
    return leaseEnd - row.leaseEnd > row.leaseMs / 3 ? { ...row, leaseEnd } : undefined
  }

  /** Applies the rows of a commit. Undefined stands for a run that has ended or was deleted. */
  commit(changed: ReadonlyMap<string, RunRow | undefined>): void {
    for (const [topic, row] of changed) {
      if (row === undefined) {
        this.#rows.delete(topic)
        this.#leaseEnds.delete(topic)
      } else if (this.#rows.get(topic)?.fence === row.fence) this.#rows.set(topic, row)
      else this.#start(row, performance.now() + row.leaseMs)
    }
  }

  /** Takes runs that are over at a time, at most `limit`. A run that is still active a second later is taken again. */
  takeEnded(now: number, limit: number): readonly RunRow[] {
    const over: RunRow[] = []
    while (over.length < limit) {
      const claim = this.#due.take(now)
      if (!claim) break
      const row = this.#rows.get(claim.topic)
      if (row?.token !== claim.token) continue
      const end = this.#endOf(claim.topic)
      if (end <= now) over.push(row)
      this.#due.add(end <= now ? now + AGAIN_MS : end, claim)
    }
    return over
  }

  #start(row: RunRow, leaseEnd: number): void {
    this.#rows.set(row.topic, row)
    this.#leaseEnds.set(row.topic, leaseEnd)
    const { topic, token } = row
    this.#due.add(leaseEnd + row.graceMs, { topic, token })
  }

  #endOf(topic: string): number {
    const row = this.#rows.get(topic)
    return row ? this.#leaseEnds.get(topic)! + row.graceMs : 0
  }
}

/** The time of `performance.now()` at a time in ms since 1970. */
function fromNow(time: number): number {
  return performance.now() + time - Date.now()
}
