import pino from 'pino'
import type { HubEvents } from '../hub/events.ts'
import { errorLine, type TellRequest } from '../requests.ts'

const logger = pino({
  base: null,
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (level) => ({ level }) },
})

/** A JSON line a request, on stdout. */
export const tell: TellRequest = (line) => {
  if (line.status >= 500) logger.error(line)
  else logger.info(line)
}

/** A JSON line for the operator, on stdout. */
export const warn = (message: string): void => logger.warn({ message })

/** What a hub tells of itself: a JSON line on stderr of what failed, with its causes. */
export const events: HubEvents = {
  failed: (what, cause) => console.error(errorLine(new Error(what, { cause }))),
}
