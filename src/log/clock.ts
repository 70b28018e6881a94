/**
 * Largest step back of the clock, in ms, that entries wait out: they get the head's time until the clock has caught up. After a larger step
 * they get the clock's time.
 */
export const MAX_CLOCK_STEP_BACK_MS = 10_000

/** Most steps that are kept. Once the oldest step is dropped, entries before it have at most the time of the next step. */
const MAX_STEPS = 100

/** A time at which the clock was set back. `seq` and `time` are those of the first entry after the step. */
export interface ClockStep {
  readonly seq: number
  readonly time: number
}

/** The time of an entry, and the steps of the clock up to it. */
export interface Clocked {
  readonly time: number
  readonly steps: readonly ClockStep[]
}

/**
 * The time of the next entries, after an entry of `last.time`, if the clock says `now`. The time of entries never falls, unless the clock
 * was set back by more than `MAX_CLOCK_STEP_BACK_MS`: then entries get the clock's time, and a step is remembered.
 *
 * @param seq seq of the first of the next entries
 */
export function timeAfter(last: Clocked, now: number, seq: number): Clocked {
  if (last.time - now <= MAX_CLOCK_STEP_BACK_MS) return { time: Math.max(last.time, now), steps: last.steps }
  // The new step replaces earlier steps whose time is not lower, so the list rises in seq and in time.
  const earlier = last.steps.filter(({ time }) => time < now)
  return { time: now, steps: [...earlier, { seq, time: now }].slice(-MAX_STEPS) }
}

/**
 * The latest time at which an entry can have been appended: its own time, or that of a later step if the clock was ahead when the entry
 * was appended. Effective times never fall as seqs rise, so a binary search finds the entries of an age.
 */
export function effectiveTime({ seq, time }: ClockStep, steps: readonly ClockStep[]): number {
  // Of all steps after the entry, the first has the lowest time.
  for (const step of steps) if (step.seq > seq) return Math.min(time, step.time)
  return time
}
