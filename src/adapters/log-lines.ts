import type { Config } from '../config/config.ts'
import type { HubEvents } from '../hub/events.ts'
import type { WriteLine } from '../requests.ts'
import { endFields, failureLine } from './event-lines.ts'
import { LineWriter } from './line-writer.ts'
import { openSink } from './output.ts'

type Level = 'info' | 'warn' | 'error'

function jsonLine(level: Level, fields: object): string {
  return JSON.stringify({ level, time: new Date().toISOString(), ...fields })
}

const droppedLine = (count: number): string =>
  jsonLine('warn', { message: `Dropped ${count} lines of this log: its reader did not take them` })

export const stdout = new LineWriter(() => openSink('stdout'), droppedLine)
export const stderr = new LineWriter(() => openSink('stderr'), droppedLine)

/** Writes a line of JSON for a request to stdout. */
export const writeLine: WriteLine = (line) => stdout.write(jsonLine(line.status >= 500 ? 'error' : 'info', line))

/** Writes a line of JSON for the operator to stdout. */
export const warn = (message: string): void => stdout.write(jsonLine('warn', { message }))

/** Reports the events of a hub as lines of JSON: the end of each stream on stdout, failures with their causes on stderr. */
export function eventLines(which: Config['requestLog']): HubEvents {
  return {
    failed: (what, cause) => stderr.write(failureLine(what, cause)),
    ended(subscription, why) {
      const fields = endFields(which, subscription, why)
      if (fields) stdout.write(jsonLine('info', fields))
    },
  }
}
