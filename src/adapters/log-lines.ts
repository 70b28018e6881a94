import type { Config } from '../config/config.ts'
import type { EndReason, HubEvents } from '../hub/events.ts'
import { safe, type WriteLine } from '../requests.ts'
import { failureLine } from './failure.ts'
import { LineWriter } from './line-writer.ts'
import { openSink } from './sink.ts'

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

/** Characters of a stream's name that a line shows: enough to tell streams apart. The whole name lets its holder change the stream. */
const NAME_LENGTH = 8

/** Ends that neither reader nor operator asked for: they are logged even where only refusals are. */
const UNWANTED: readonly EndReason[] = ['stalled', 'failed', 'revoked', 'replaced']

/** Reports the events of a hub as lines of JSON: the end of each stream on stdout, failures with their causes on stderr. */
export function eventLines(which: Config['requestLog']): HubEvents {
  return {
    failed: (what, cause) => stderr.write(failureLine(what, cause)),
    ended(subscription, why) {
      if (which === 'none' || (which === 'refused' && !UNWANTED.includes(why))) return
      const { topics, patterns } = subscription.group.selection.filter
      const line = {
        stream: subscription.stream.slice(0, NAME_LENGTH),
        end: why,
        ...(subscription.who !== undefined && { who: safe(subscription.who, 100) }),
        topics: topics.size + patterns.length,
        ms: Math.round(performance.now() - subscription.openedAt),
        ...subscription.handed,
      }
      stdout.write(jsonLine('info', line))
    },
  }
}
