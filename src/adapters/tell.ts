import pino from 'pino'
import type { TellRequest } from '../requests.ts'

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
