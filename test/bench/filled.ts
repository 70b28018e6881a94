import { statSync } from 'node:fs'
import { join } from 'node:path'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import type { Message } from '../../src/log/log.ts'
import { folder } from '../server/server.ts'
import type { Progress } from './row.ts'

/** A log in a file. Half of its entries are in topics of `half/**`, ten at equal distances in `quiet`, the rest in other topics. */
export interface FilledLog {
  readonly path: string
  readonly epoch: string
  /** Identifies the file, because a copy would have another epoch. */
  readonly home: string
  readonly size: number
  /** The number of entries in `half/**`, and the seq of the last one. */
  readonly half: { readonly count: number; readonly last: number }
}

export const QUIET = 10
/** The beginning of the data of every entry. */
export const MARK = '{"n":'
/** More than is ever appended, so that nothing is trimmed. */
export const RETENTION_COUNT = 100_000_000

const BATCH = 5000
/** The number of entries of each topic. They are appended in a row, because an index that grows at one end fills ten times as fast. */
const TOPIC = 1000
const PADDING = 'x'.repeat(80)

const logs = new Map<number, Promise<FilledLog>>()

/** Fills a log, once per size in this process. Only one process at a time may open it. */
export function filledLog(size: number, progress: Progress): Promise<FilledLog> {
  const known = logs.get(size)
  if (known) return known
  const filling = fill(size, progress)
  logs.set(size, filling)
  return filling
}

async function fill(size: number, progress: Progress): Promise<FilledLog> {
  const path = join(folder(), 'hub.db')
  const log = openSqlite(path, { retention: { count: RETENTION_COUNT } })
  const half = { count: 0, last: 0 }
  for (let after = 0; after < size; after += BATCH) {
    const messages = Array.from({ length: Math.min(BATCH, size - after) }, (_, i) => messageAt(after + i + 1, size))
    for (const [i, { topic }] of messages.entries()) {
      if (!topic.startsWith('half/')) continue
      half.count++
      half.last = after + i + 1
    }
    await log.append(messages)
    progress(`fills a log of ${size.toLocaleString('en')} entries: ${Math.round((100 * after) / size)} %`)
  }
  await log.close()
  const { dev, ino } = statSync(path)
  return { path, epoch: log.epoch, home: `${dev}:${ino}`, size, half }
}

function messageAt(seq: number, size: number): Message {
  const isQuiet = seq % (size / QUIET) === size / QUIET / 2
  const topic = isQuiet ? 'quiet' : `${seq % 2 === 0 ? 'half' : 'rest'}/${Math.floor(seq / 2 / TOPIC)}`
  return { topic, data: `${MARK}${seq},"text":"${PADDING}"}` }
}
