import type { Log } from '../log/log.ts'
import type { Filter, TopicLimits } from '../topic.ts'
import type { InternalTopics } from './internal.ts'
import type { Subscription } from './subscription.ts'

/**
 * The key of what an app needs of its hub, and a host does not. The symbol is registered, so that an app works with a hub of another copy
 * of this package.
 */
export const INSIDE: unique symbol = Symbol.for('tidings hub')

/** What the app, auth and the routes need of a hub, and a host does not. */
export interface HubInside {
  /** The hub's own topics, in which auth stores revocations, used tickets and secrets. */
  readonly topics: InternalTopics
  /** The log, opened. */
  log(): Promise<Log>
  /** How often the hub's log was replaced by another. After a replacement, everything read before it is void. */
  readonly restarts: () => number
  /** The limits of topics and patterns. */
  readonly limits: () => TopicLimits
  /** Takes `count` out of a bucket of all processes of the hub, see `Peers.take`. Resolves with undefined if this is the only one. */
  take(bucket: string, count: number, perSecond: number): Promise<number | undefined>
  /** Whether an id is a position of the log's present epoch. */
  isId(text: string): Promise<boolean>
  /**
   * Gives an open stream other topics. It continues from its position.
   *
   * @throws AppError `stream_unknown`: the stream has ended
   * @throws AppError `log_unavailable`, `log_unusable`: the stream ends, because the log cannot tell which of its topics are closed
   */
  change(subscription: Subscription, filter: Filter): Promise<void>
  /** Checks that one more streamed body may be read. @throws AppError `draining`, `overloaded` */
  admitBody(): void
}
