import pino from 'pino'
import type { Config } from '../config/config.ts'
import type { EndReason, HubEvents } from '../hub/events.ts'
import { errorLine, safe, type WriteLine } from '../requests.ts'

const logger = pino({
  base: null,
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (level) => ({ level }) },
})

/** A JSON line a request, on stdout. */
export const tell: WriteLine = (line) => {
  if (line.status >= 500) logger.error(line)
  else logger.info(line)
}

/** A JSON line for the operator, on stdout. */
export const warn = (message: string): void => logger.warn({ message })

/** Characters of a stream's name that a line shows: enough to tell streams apart. */
const NAME = 8

/** Ends that are nobody's wish: of these a line is written also where only refusals are. */
const troubles: readonly EndReason[] = ['stalled', 'failed', 'revoked', 'replaced']

/** Reports of a hub as JSON lines: of each stream at its end on stdout, and of what failed on stderr, with its causes. */
export function eventLines(which: Config['requestLog']): HubEvents {
  return {
    failed: (what, cause) => console.error(errorLine(new Error(what, { cause }))),
    ended(subscription, why) {
      if (which === 'none' || (which === 'refused' && !troubles.includes(why))) return
      const { topics, patterns } = subscription.group.selection.filter
      logger.info({
        stream: subscription.stream.slice(0, NAME), // the whole name lets its holder change the stream
        end: why,
        ...(subscription.who !== undefined && { who: safe(subscription.who, 100) }),
        topics: topics.size + patterns.length,
        ms: Math.round(performance.now() - subscription.openedAt),
        ...subscription.handed,
      })
    },
  }
}
