/** Seconds between two sweeps of Bun for connections that exceed their idle timeout. A sweep closes them all in one turn. */
const SWEEP_S = 4
/** A connection waits for at most this many sweeps, however many others are waiting. */
const MAX_SWEEPS = 4
/** Connections that one sweep may close within a pause of 25 ms. Closing 5,000 with full buffers takes 90 ms (measured). */
const PER_SWEEP = 1250

/** Spreads connections that have to be closed over the sweeps of Bun, by the idle timeouts that they are given. */
export class Sweeps {
  #waiting = 0
  #lastCall = 0

  /**
   * The idle timeout in seconds for the next connection to close: 1, or more if many were closed lately.
   *
   * @param now in ms, of a monotonic clock
   */
  nextTimeout(now: number): number {
    this.#waiting = Math.max(0, this.#waiting - ((now - this.#lastCall) / (1000 * SWEEP_S)) * PER_SWEEP)
    this.#lastCall = now
    return 1 + SWEEP_S * Math.min(MAX_SWEEPS - 1, Math.floor(this.#waiting++ / PER_SWEEP))
  }
}
