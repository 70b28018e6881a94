/** How far a replay may be ahead of its rate, in ms: about the grain of the hub's timer (`Wheel`). */
const BURST_MS = 100

/** Keeps a reader of history to the replay rate, so that history does not slow live readers down. */
export class Pace {
  /** The time at which the rate allows the next entry, on the clock of `performance.now()`. */
  #paidUntil = 0
  #isWaiting = false

  /** Whether the next read has to wait until `resumesAt`. */
  mustWait(): boolean {
    this.#isWaiting = this.#paidUntil - BURST_MS > performance.now()
    return this.#isWaiting
  }

  get isWaiting(): boolean {
    return this.#isWaiting
  }

  /** When the waiting read may continue; infinity if no read waits. */
  get resumesAt(): number {
    return this.#isWaiting ? this.#paidUntil - BURST_MS : Number.POSITIVE_INFINITY
  }

  /** Whether a read was waiting and may continue now. It then no longer counts as waiting. */
  takeResume(now: number): boolean {
    if (now < this.resumesAt) return false
    this.#isWaiting = false
    return true
  }

  /** Counts events that were read. @param perSecond most events per second for one reader */
  pay(events: number, perSecond: number): void {
    this.#paidUntil = Math.max(this.#paidUntil, performance.now()) + (events * 1000) / perSecond
  }
}
