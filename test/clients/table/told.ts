/** Clocks and timers are this inexact, as a part of the wait. */
const TOLERANCE = 0.1

/**
 * Whether a client kept to the times it was told, by its waits as parts of these.
 *
 * @param jitter the part of a wait that the client subtracts at random, which spreads clients too
 */
export function isObeyed(waits: readonly number[], jitter: number): boolean {
  return waits.length > 0 && Math.min(...waits) >= 1 - jitter - TOLERANCE
}

/** The shortest wait, in words. */
export function shortest(waits: readonly number[]): string {
  return waits.length > 0 ? `waits ${Math.min(...waits).toFixed(1)} ×` : 'was told nothing'
}
