/** How long before its end a stream is told of it. */
const WARNING_MS = 30_000
/** How often a stream that is still being opened is looked at again, to be told. */
const OPENING_MS = 500

export const NEVER = Number.POSITIVE_INFINITY

/** When something is due for one stream although nothing was published, on the clock of `performance.now()`. */
export class Deadlines {
  readonly #heartbeatMs: number
  readonly #stallMs: number
  #handedAt = NEVER
  #beatAt: number
  #repeatAt = NEVER
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

  /** The earliest of them. */
  next(now: number): number {
    // Whatever the reader is handed until then, it cannot stall earlier than this.
    const stallsAt = Math.min(now, this.#handedAt) + this.#stallMs
    return Math.min(this.#beatAt, this.#repeatAt, this.#endsAt, this.#warnsAt, this.#expiresAt, stallsAt)
  }

  /** The reader was handed something, and has `stallMs` to take it. */
  hand(): void {
    this.#handedAt = performance.now()
  }

  /** The reader has taken what it was handed. */
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

  /** Whether a heartbeat is due: the next one is `heartbeatMs` later. */
  takeBeat(now: number): boolean {
    if (now < this.#beatAt) return false
    this.#beatAt = now + this.#heartbeatMs
    return true
  }

  /** Puts off the next heartbeat, because something else was written. */
  putOffBeat(): void {
    this.#beatAt = performance.now() + this.#heartbeatMs
  }

  /** Whether the newest entry is to be repeated: the next time is on the grid of `everyMs`. */
  takeRepeat(now: number): boolean {
    if (now < this.#repeatAt) return false
    this.#repeatAt += Math.ceil((now - this.#repeatAt + 1) / this.#repeatMs) * this.#repeatMs
    return true
  }

  /** @param everyMs none: never */
  repeat(everyMs: number | undefined): void {
    this.#repeatMs = everyMs ?? NEVER
    this.#repeatAt = performance.now() + this.#repeatMs
  }

  /** When the stream is to be told that it expires; nothing if that is not now. @param isOpen whether it can be told yet */
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

  /** The stream is about to end: its lifetime and the warning no longer matter. @param isAtOnce nor when it expires */
  end(isAtOnce: boolean): void {
    this.#endsAt = this.#warnsAt = NEVER
    if (isAtOnce) this.#expiresAt = NEVER // else it bounds what is still sent
  }
}
