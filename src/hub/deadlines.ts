/** A reader is warned this long before its stream expires. */
const WARNING_MS = 30_000
/** If the stream is still opening when the warning is due, the warning is tried again after this time. */
const OPENING_MS = 500

export const NEVER = Number.POSITIVE_INFINITY

/** The times at which one stream has to act without an entry or a read, on the clock of `performance.now()`. */
export class Deadlines {
  readonly #heartbeatMs: number
  readonly #stallMs: number
  #handedAt = NEVER
  #beatAt: number
  #isBeatDue = false
  #repeatAt = NEVER
  #isRepeatDue = false
  #repeatMs = NEVER
  #endsAt: number
  #expiresAt = NEVER
  #warnsAt = NEVER

  constructor(heartbeatMs: number, stallMs: number, lifetimeMs: number) {
    this.#heartbeatMs = heartbeatMs
    this.#stallMs = stallMs
    const now = performance.now()
    this.#beatAt = now + heartbeatMs
    this.#endsAt = now + lifetimeMs
  }

  /** The earliest deadline. */
  next(now: number): number {
    // If the reader gets a chunk only after `now`, it cannot be stalled before this time.
    const stallsAt = Math.min(now, this.#handedAt) + this.#stallMs
    return Math.min(this.#beatAt, this.#repeatAt, this.#endsAt, this.#warnsAt, this.#expiresAt, stallsAt)
  }

  /** Call when the reader was given a chunk. It has `stallMs` to take the chunk. */
  handed(): void {
    this.#handedAt = performance.now()
  }

  /** Call when the reader has taken its chunk. */
  taken(): void {
    this.#handedAt = NEVER
  }

  isStalled(now: number): boolean {
    return now >= this.#handedAt + this.#stallMs
  }

  /** Whether the stream's lifetime is over. */
  isOld(now: number): boolean {
    return now >= this.#endsAt
  }

  isExpired(now: number): boolean {
    return now >= this.#expiresAt
  }

  /**
   * Whether a heartbeat or a repeat is due. A heartbeat or repeat whose time comes while the reader is not idle is left out. The next
   * heartbeat comes `heartbeatMs` later; repeats come at multiples of their interval, counted from the call of `repeat`.
   *
   * @param isIdle whether the reader has got every entry so far
   */
  isAnythingDue(now: number, isIdle: boolean): boolean {
    if (now >= this.#beatAt) {
      this.#beatAt = now + this.#heartbeatMs
      this.#isBeatDue = isIdle
    }
    if (now >= this.#repeatAt) {
      this.#repeatAt += Math.ceil((now - this.#repeatAt + 1) / this.#repeatMs) * this.#repeatMs
      this.#isRepeatDue = isIdle
    }
    return this.#isBeatDue || this.#isRepeatDue
  }

  /** Whether a heartbeat is due. After the call it no longer is. */
  takeBeatDue(): boolean {
    const isDue = this.#isBeatDue
    this.#isBeatDue = false
    return isDue
  }

  /** Whether a repeat is due. After the call it no longer is. */
  takeRepeatDue(): boolean {
    const isDue = this.#isRepeatDue
    this.#isRepeatDue = false
    return isDue
  }

  /** Puts off the next heartbeat, because the stream has just written something else. */
  putOffBeat(): void {
    this.#beatAt = performance.now() + this.#heartbeatMs
    this.#isBeatDue = false
  }

  /** Repeats the newest entry from now on. @param everyMs undefined stops repeating, and cancels a repeat that is due */
  repeat(everyMs: number | undefined): void {
    this.#repeatMs = everyMs ?? NEVER
    this.#repeatAt = performance.now() + this.#repeatMs
    this.#isRepeatDue = false
  }

  /** Makes one repeat due now, in addition to those at the interval. */
  repeatNow(): void {
    this.#isRepeatDue = true
  }

  /** The time at which the stream expires, if the reader has to be warned now. @param isOpen whether a warning can be sent yet */
  takeWarning(now: number, isOpen: boolean): Date | undefined {
    if (now < this.#warnsAt) return
    this.#warnsAt = isOpen ? NEVER : now + OPENING_MS
    if (!isOpen || now >= this.#expiresAt) return
    return new Date(Date.now() + this.#expiresAt - now)
  }

  /** Sets when the stream expires. @param expiresAt in ms since 1970; undefined for never */
  expire(expiresAt: number | undefined): void {
    this.#expiresAt = expiresAt === undefined ? NEVER : performance.now() + expiresAt - Date.now()
    this.#warnsAt = this.#expiresAt - WARNING_MS
  }

  /** Cancels the end of the lifetime and the warning, because the stream is about to end. @param isAtOnce cancels the expiry too */
  end(isAtOnce: boolean): void {
    this.#endsAt = this.#warnsAt = NEVER
    if (isAtOnce) this.#expiresAt = NEVER // a stream that still sends what is due must stop at its expiry
  }
}
