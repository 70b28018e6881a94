import type { Config } from '../config/config.ts'
import type { EndReason } from '../hub/events.ts'
import type { Subscription } from '../hub/subscription.ts'
import { errorLine, safe } from '../requests.ts'

/** Characters of a stream's name that a line shows: enough to tell streams apart. The whole name lets its holder change the stream. */
const NAME_LENGTH = 8

/** Ends that get a line even with `REQUEST_LOG=refused`: an operator should know of them. */
const UNWANTED: readonly EndReason[] = ['stalled', 'failed', 'revoked', 'replaced']

/** The line of JSON for what a hub reports as `failed`, with its causes. */
export function failureLine(what: string, cause: unknown): string {
  return errorLine(new Error(what, { cause }))
}

/** The fields of the line for the end of a stream, unless `REQUEST_LOG` leaves it out. */
export function endFields(which: Config['requestLog'], subscription: Subscription, why: EndReason): object | undefined {
  if (which === 'none' || (which === 'refused' && !UNWANTED.includes(why))) return
  const { topics, patterns } = subscription.group.selection.filter
  return {
    stream: subscription.stream.slice(0, NAME_LENGTH),
    end: why,
    ...(subscription.who !== undefined && { who: safe(subscription.who, 100) }),
    topics: topics.size + patterns.length,
    ms: Math.round(performance.now() - subscription.openedAt),
    ...subscription.handed,
  }
}
