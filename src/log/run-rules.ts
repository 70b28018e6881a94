import { AppError, quote } from '../errors.ts'
import type { Entry, Message } from './log.ts'
import type { Claim, RunState } from './runs.ts'
import type { RunRow } from './tables.ts'

/*
 * The decisions about runs. Like those of `rules.ts`, they are pure functions of rows, and the Lua of the Redis log makes the same ones.
 */

/** Whether a topic is in a run: it was claimed, and has not been closed. */
export function isActive(row: RunRow | undefined): row is RunRow {
  return row !== undefined && row.fence > 0 && row.outcome === undefined
}

/**
 * Why a message may not be appended because of the run of its topic; undefined if it may.
 *
 * @param row the topic's run, if it is active
 * @param isOver whether the lease and the time after it have ended
 */
export function refusalByRun(
  row: RunRow | undefined,
  { topic, run, outcome }: Message,
  isOver: (topic: string) => boolean,
): 'run_taken' | 'run_lost' | undefined {
  if (row === undefined) return run === undefined ? undefined : 'run_lost'
  if (run === undefined) return 'run_taken'
  if (run !== row.token) return 'run_lost'
  // The log itself ends a run, under the token of the producer, who may have given a sign of life in the meantime.
  return outcome === 'abandoned' && !isOver(topic) ? 'run_taken' : undefined
}

/**
 * The row of a topic after a claim, or why the claim is refused.
 *
 * @param row the row of the topic, of any state
 * @param at.isLeased whether the lease of an active run lasts. `isFull` whether there are as many active runs as there may be
 */
export function placeClaim(
  topic: string,
  { token, leaseMs, graceMs, key }: Claim,
  row: RunRow | undefined,
  at: { readonly closed: number; readonly isLeased: boolean; readonly isFull: boolean; readonly oldestStop: number },
): RunRow | 'topic_closed' | 'run_taken' | 'too_many_runs' {
  if (at.closed > 0) return 'topic_closed'
  const isSame = key !== undefined && key === row?.key
  if (isActive(row) && at.isLeased && !isSame) return 'run_taken'
  if (!isActive(row) && at.isFull) return 'too_many_runs'
  const stop = row === undefined || isStopForgotten(row, at.oldestStop) ? 0 : row.stop
  return {
    ...{ topic, fence: (row?.fence ?? 0) + 1, token, leaseMs, graceMs, stop, leaseEnd: 0 },
    ...(key !== undefined && { key }),
  }
}

/**
 * The row of a topic after somebody has asked for a stop; undefined if that changes nothing.
 *
 * @param fence the claim that is meant; undefined for any
 */
export function placeStop(
  topic: string,
  row: RunRow | undefined,
  fence: number | undefined,
  now: number,
): RunRow | undefined {
  if (fence !== undefined && fence !== row?.fence) return
  if (row && row.fence > 0) return isActive(row) && row.stop === 0 ? { ...row, stop: now } : undefined
  return { topic, fence: 0, token: '', leaseMs: 0, graceMs: 0, stop: now, leaseEnd: 0 }
}

/** Whether a stop was asked so long before the first claim that it counts as not asked. @param oldest the time of the oldest that counts */
export function isStopForgotten({ fence, stop }: RunRow, oldest: number): boolean {
  return fence === 0 && stop < oldest
}

/** How many of the stops are forgotten that were asked before the first claim. @param rows the oldest of them first, of `kept` in all */
export function surplusStops(rows: readonly RunRow[], kept: number, stopCount: number, oldest: number): number {
  let gone = 0
  while (gone < rows.length && (kept - gone > stopCount || isStopForgotten(rows[gone]!, oldest))) gone++
  return gone
}

/** What everybody may know of a run. @param leaseEnd in ms since 1970; undefined once the run has ended */
export function stateOfRun(row: Omit<RunRow, 'token' | 'key' | 'leaseEnd'>, leaseEnd: number | undefined): RunState {
  const { topic, fence, leaseMs, graceMs, stop, outcome, detail } = row
  return {
    ...{ topic, fence, leaseMs, graceMs, isStopAsked: stop > 0 },
    ...(outcome === undefined && leaseEnd !== undefined && { leaseEnd }),
    ...(outcome !== undefined && { outcome }),
    ...(detail !== undefined && { detail }),
  }
}

/** The outcome of an entry as one text for storage, its detail after a line end; undefined for none. */
export function outcomeText({ outcome, detail }: Pick<Entry, 'outcome' | 'detail'>): string | undefined {
  return outcome !== undefined && detail !== undefined ? `${outcome}\n${detail}` : outcome
}

export function parseOutcome(text: string): Pick<Entry, 'outcome' | 'detail'> {
  const end = text.indexOf('\n')
  const outcome = (end < 0 ? text : text.slice(0, end)) as NonNullable<Entry['outcome']>
  return end < 0 ? { outcome } : { outcome, detail: text.slice(end + 1) }
}

/** @param leaseEnd in ms since 1970, if the log knows it */
export function takenError(topic: string, leaseEnd: number | undefined, now: number): AppError {
  const ends = leaseEnd === undefined ? undefined : new Date(leaseEnd).toISOString()
  const until = ends === undefined ? '' : `; its lease ends at ${ends} unless it is renewed`
  return new AppError(
    'run_taken',
    `Cannot publish to ${quote(topic)}: another producer has claimed the topic${until}`,
    {
      ...(leaseEnd !== undefined && { retryAfterS: Math.max(1, Math.ceil((leaseEnd - now) / 1000)) }),
      ...(ends !== undefined && { more: { leaseEnd: ends } }),
    },
  )
}

export function tooManyRunsError(): AppError {
  return new AppError('too_many_runs', 'Cannot claim another topic: the hub has as many active runs as it may have', {
    retryAfterS: 5,
  })
}

export function lostError(topic: string): AppError {
  return new AppError(
    'run_lost',
    `Cannot go on with the run of ${quote(topic)}: another producer has claimed the topic, or the run has ended`,
  )
}

/** Refuses a claim or a stop of a closed topic. */
export function closedRunError(topic: string): AppError {
  return new AppError('topic_closed', `Cannot start a run of ${quote(topic)}: the topic is closed; take another topic`)
}
