/** How far the clock may go back, in ms. By less, entries keep the time of the head until the clock catches up; by more, they follow the clock. */
export const MAX_CLOCK_STEP_BACK_MS = 10_000

/** Most steps that are kept. When the oldest goes, entries before it count as older than the next one. */
const MAX_STEPS = 100

/** The clock was set back: `seq` and `time` are those of the first entry after that. */
export interface ClockStep {
  readonly seq: number
  readonly time: number
}

/** The time of the next entries, and the steps to remember with them. */
export interface Clocked {
  readonly time: number
  readonly steps: readonly ClockStep[]
}

/**
 * The time of entries that follow `last.time`, by a clock that says `now`. It never falls, unless the clock was set back by more than
 * `MAX_CLOCK_STEP_BACK_MS`: then it is the clock's, and a step is remembered.
 *
 * @param seq of the first of these entries
 */
export function timeAfter(last: Clocked, now: number, seq: number): Clocked {
  if (last.time - now <= MAX_CLOCK_STEP_BACK_MS) return { time: Math.max(last.time, now), steps: last.steps }
  // An earlier step to a later time says nothing that this one does not say: the list rises in seq and in time.
  const earlier = last.steps.filter(({ time }) => time < now)
  return { time: now, steps: [...earlier, { seq, time: now }].slice(-MAX_STEPS) }
}

/**
 * When an entry was appended at the latest: its own time, or that of a later step if the clock was ahead when the entry got its time.
 * It never falls as seq rises, so that a binary search finds an age.
 */
export function effectiveTime({ seq, time }: ClockStep, steps: readonly ClockStep[]): number {
  // The first step after the entry has the lowest time of those after it.
  for (const step of steps) if (step.seq > seq) return Math.min(time, step.time)
  return time
}
