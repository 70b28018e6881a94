/** How long before a stream expires its reader is warned. */
const WARNING_MS = 30_000
/** How often the warning of a stream that is still opening is tried again. */
const OPENING_MS = 500

export const NEVER = Number.POSITIVE_INFINITY

/** The times at which one stream has to act by itself, on the clock of `performance.now()`. */
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
    // A chunk that the reader is handed after now cannot stall before this.
    const stallsAt = Math.min(now, this.#handedAt) + this.#stallMs
    return Math.min(this.#beatAt, this.#repeatAt, this.#endsAt, this.#warnsAt, this.#expiresAt, stallsAt)
  }

  /** The reader was handed a chunk, and has `stallMs` to take it. */
  handed(): void {
    this.#handedAt = performance.now()
  }

  /** The reader has taken its chunk. */
  taken(): void {
    this.#handedAt = NEVER
  }

  isStalled(now: number): boolean {
    return now >= this.#handedAt + this.#stallMs
  }

  /** Whether its lifetime is over. */
  isOld(now: number): boolean {
    return now >= this.#endsAt
  }

  isExpired(now: number): boolean {
    return now >= this.#expiresAt
  }

  /**
   * Whether a heartbeat or a repeat is due. Both skip a reader that has yet to take what it was given. The next heartbeat is
   * `heartbeatMs` later, the next repeat on the grid of its interval.
   *
   * @param isIdle whether the reader has everything
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

  /** Whether a heartbeat is due, once. */
  takeBeatDue(): boolean {
    const isDue = this.#isBeatDue
    this.#isBeatDue = false
    return isDue
  }

  /** Whether a repeat is due, once. */
  takeRepeatDue(): boolean {
    const isDue = this.#isRepeatDue
    this.#isRepeatDue = false
    return isDue
  }

  /** Puts off the next heartbeat, because something else was written. */
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

  /** Repeats the newest entry as soon as the reader has everything, besides the grid. */
  repeatNow(): void {
    this.#isRepeatDue = true
  }

  /** When the stream expires, if its reader has to be warned now. @param isOpen whether it can be warned yet */
  takeWarning(now: number, isOpen: boolean): Date | undefined {
    if (now < this.#warnsAt) return
    this.#warnsAt = isOpen ? NEVER : now + OPENING_MS
    if (!isOpen || now >= this.#expiresAt) return
    return new Date(Date.now() + this.#expiresAt - now)
  }

  /** @param expiresAt in ms since 1970; none: never */
  expire(expiresAt: number | undefined): void {
    this.#expiresAt = expiresAt === undefined ? NEVER : performance.now() + expiresAt - Date.now()
    this.#warnsAt = this.#expiresAt - WARNING_MS
  }

  /** The stream is about to end: its lifetime and the warning no longer matter. @param isAtOnce its expiry no longer matters either */
  end(isAtOnce: boolean): void {
    this.#endsAt = this.#warnsAt = NEVER
    if (isAtOnce) this.#expiresAt = NEVER // otherwise nothing is sent after it
  }
}
