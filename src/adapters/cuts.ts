/** Bun looks every so often which connections have been silent for too long, and closes them before it does anything else. */
const LOOK_S = 4
/** Whatever comes, nobody's connection is kept for more looks. */
const LOOKS = 4
/** Connections that a look may close before its pause shows: 25 ms. Of 5,000 that were full it is 90 (measured). */
const AT_ONCE = 1250

/** Shares out connections that are to be cut among the looks that Bun takes. */
export class Cuts {
  #waiting = 0
  #at = 0

  /**
   * The silence that is enough for the next one, in seconds: 1, and the longer, the more were cut lately.
   *
   * @param now in ms, of a clock that only goes on
   */
  next(now: number): number {
    this.#waiting = Math.max(0, this.#waiting - ((now - this.#at) / (1000 * LOOK_S)) * AT_ONCE)
    this.#at = now
    return 1 + LOOK_S * Math.min(LOOKS - 1, Math.floor(this.#waiting++ / AT_ONCE))
  }
}
