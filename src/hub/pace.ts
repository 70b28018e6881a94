/** How far a replay may be ahead of its rate: about the grain of the clock. */
const BURST_MS = 100

/** Keeps a reader of history to the replay rate, so that history does not starve live readers. */
export class Pace {
  /** Until when the entries read so far use up the rate. */
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

  /** When a read that waits may go on; never, if none waits. */
  get resumesAt(): number {
    return this.#isWaiting ? this.#paidUntil - BURST_MS : Number.POSITIVE_INFINITY
  }

  /** Whether a read that waited may go on now. */
  takeResume(now: number): boolean {
    if (now < this.resumesAt) return false
    this.#isWaiting = false
    return true
  }

  /** @param perSecond events that a reader may be given */
  pay(events: number, perSecond: number): void {
    this.#paidUntil = Math.max(this.#paidUntil, performance.now()) + (events * 1000) / perSecond
  }
}
