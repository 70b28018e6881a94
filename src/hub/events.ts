import type { GapReason } from './frame.ts'
import type { Subscription } from './subscription.ts'

/**
 * Why a stream ended:
 *
 * - `gone`: the reader left, or the connection broke
 * - `answered`: the stream was a poll, and the poll was answered
 * - `complete`: all topics of the stream are closed
 * - `lifetime`, `expired`, `revoked`: the time or the right of the stream was over; the reader was told when to come back
 * - `shutdown`: the hub stops
 * - `replaced`: another log replaced the hub's log
 * - `stalled`: the reader did not take its chunk
 * - `gap`: the reader wants no control events, and entries could not be delivered
 * - `failed`: the log could not be read, or serving the stream threw an error
 *
 * @example
 * const ends = new Map<EndReason, number>()
 * const counting = new Hub(memoryLog, { events: { ended: (_, why) => void ends.set(why, (ends.get(why) ?? 0) + 1) } })
 */
export type EndReason =
  | 'gone'
  | 'answered'
  | 'complete'
  | 'lifetime'
  | 'expired'
  | 'revoked'
  | 'shutdown'
  | 'replaced'
  | 'stalled'
  | 'gap'
  | 'failed'

/**
 * What a hub reports to output lines, metrics and traces. Each function is called synchronously, is never awaited, and must not throw.
 * `Subscription.handed` counts deliveries.
 *
 * @example
 * const events: HubEvents = {
 *   appended: (entries, ms) => console.log(`${entries} entries in ${ms} ms`),
 *   failed: (what, cause) => console.error(what, cause),
 * }
 * const observed = new Hub(memoryLog, { events })
 */
export interface HubEvents {
  /** This many entries were appended, and were durable after `ms`. Duplicates are not counted. */
  readonly appended?: (entries: number, ms: number) => void
  readonly opened?: (subscription: Subscription) => void
  /** @param cause the error, if `why` is `failed` */
  readonly ended?: (subscription: Subscription, why: EndReason, cause?: unknown) => void
  /** A reader was sent a `hub.gap`; or, if it wants no control events, its stream was refused or broken off. */
  readonly gap?: (reason: GapReason) => void
  /**
   * Something failed, and readers see only that their stream ended or was refused. A log that cannot be read is reported at most once in
   * five seconds.
   *
   * @param what a sentence that begins with `Cannot` and has no period
   */
  readonly failed?: (what: string, cause: unknown) => void
}
