import type { GapReason } from './frame.ts'
import type { Subscription } from './subscription.ts'

/**
 * Why a stream ended:
 * - `gone`: its reader left, or its connection broke; `answered`: it was a poll, which has its answer;
 * - `complete`: all its topics are closed;
 * - `lifetime`, `expired`, `revoked`: its time was over, and its reader was told when to come back;
 * - `shutdown`, `replaced`: the hub stops, or its log was replaced by another;
 * - `stalled`: its reader did not take its chunk; `failed`: the log could not be read.
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
 * What a hub reports to logs, metrics and traces. Each function is called synchronously, is never awaited, and must not throw. Counts of
 * deliveries are on the subscription, to be read when they are needed.
 */
export interface HubEvents {
  /** Entries were appended, and were durable after `ms`. Duplicates are not counted. */
  readonly appended?: (entries: number, ms: number) => void
  readonly opened?: (subscription: Subscription) => void
  /** @param cause of `failed` */
  readonly ended?: (subscription: Subscription, why: EndReason, cause?: unknown) => void
  /** A reader was told of a gap. */
  readonly gap?: (reason: GapReason) => void
  /**
   * Something failed that readers see only as an end or a refusal. Reported again after five seconds if it still fails.
   *
   * @param what a sentence without an end mark, `Cannot …`
   */
  readonly failed?: (what: string, cause: unknown) => void
}
