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
 * - `failed`: the log could not be read, or serving the stream threw an error
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
  | 'failed'

/**
 * What a hub reports to output lines, metrics and traces. Each function is called synchronously, is never awaited, and must not throw.
 * `Subscription.handed` counts deliveries.
 */
export interface HubEvents {
  /** This many entries were appended, and were durable after `ms`. Duplicates are not counted. */
  readonly appended?: (entries: number, ms: number) => void
  readonly opened?: (subscription: Subscription) => void
  /** @param cause the error, if `why` is `failed` */
  readonly ended?: (subscription: Subscription, why: EndReason, cause?: unknown) => void
  /** A reader was sent a `hub.gap`. */
  readonly gap?: (reason: GapReason) => void
  /**
   * Something failed, and readers see only that their stream ended or was refused. A log that cannot be read is reported at most once in
   * five seconds.
   *
   * @param what a sentence that begins with `Cannot` and has no period
   */
  readonly failed?: (what: string, cause: unknown) => void
}
