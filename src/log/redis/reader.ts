import { AppError } from '../../errors.ts'
import type { Filter } from '../../topic.ts'
import { nextTurn } from '../../turn.ts'
import type { Beginning, Log, Page, ReadLimit, TopicQuery, TopicState } from '../log.ts'
import type { OutcomeName } from '../runs.ts'
import { read } from './lua/read.ts'
import { before, since } from './lua/seek.ts'
import { topics } from './lua/topics.ts'
import { pause, RETRY_MS } from './pause.ts'
import { entryOfRow, type Row, withTrimmed } from './rows.ts'
import { scan } from './scan.ts'
import type { RunScript } from './scripts.ts'

type TopicReply = readonly [
  ...[topic: string, last: number, count: number, closed: number],
  ...[outcome: OutcomeName | null, detail: string | null],
]

/** Most rows of each reply in a search for the newest entries of named topics. */
const MAX_SEEK_ROWS = 500

/**
 * Reads from the server. The server looks up named topics. It cannot match patterns, so for those this node fetches the entries of all
 * topics.
 *
 * @param closing aborted when the log begins to close; a failed read is then not repeated
 */
export function readerOf(query: RunScript, closing: AbortSignal): Pick<Log, 'read' | 'seek' | 'topics'> {
  async function readNamed(after: number, limit: ReadLimit, filter: Filter): Promise<Page> {
    const { count, bytes, latest } = limit
    const reply = await query(read, after, count, bytes, latest ? 1 : 0, JSON.stringify([...filter.topics]))
    const [head, floor, scannedTo, conflated, rows, trimmedTo] = reply as [
      ...[number, number, number, number, Row[], number],
    ]
    const page = { entries: rows.map(entryOfRow), scannedTo, ...(conflated > 0 && { conflated }) }
    return withTrimmed(page, { after, head, floor, trimmedTo })
  }

  /** Repeats a read until the server can be used, the reader has gone or the log closes. */
  async function persistently(attempt: () => Promise<Page>, isGone: () => boolean): Promise<Page> {
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        const isUnavailable = error instanceof AppError && error.code === 'log_unavailable'
        if (!isUnavailable || closing.aborted || isGone()) throw error
        await pause(RETRY_MS)
      }
    }
  }

  async function seekLast(count: number, filter: Filter, isGone: () => boolean): Promise<number> {
    const isNamed = filter.patterns.length === 0
    const names = JSON.stringify(isNamed ? [...filter.topics] : [])
    const limit = isNamed ? Math.min(count + 1, MAX_SEEK_ROWS) : filter.matchBudget
    let left = count
    for (let beforeSeq = Number.MAX_SAFE_INTEGER; beforeSeq > 0; ) {
      const [rows, next] = (await query(before, beforeSeq, limit, names)) as [[number, string, number][], number]
      const matches = filter.memoizedMatcher()
      for (const [seq, topic, isBareClose] of rows)
        if (isBareClose === 0 && matches(topic) && --left === 0) return seq - 1
      if (isGone()) return 0
      beforeSeq = next
    }
    return 0
  }

  return {
    async read(after, limit, filter, isGone) {
      await nextTurn()
      const attempt = () =>
        filter.patterns.length > 0 ? scan(query, after, limit, filter, isGone) : readNamed(after, limit, filter)
      return isGone ? persistently(attempt, isGone) : attempt()
    },

    async seek(beginning: Beginning, filter: Filter, isGone = () => false): Promise<number> {
      if ('last' in beginning) return seekLast(beginning.last, filter, isGone)
      return (await query(since, beginning.since)) as number
    },

    async topics(topicQuery: TopicQuery): Promise<readonly TopicState[]> {
      const found = await ('prefix' in topicQuery
        ? query(topics, '[]', topicQuery.prefix, topicQuery.after, topicQuery.limit)
        : query(topics, JSON.stringify([...topicQuery.names])))
      return (found as TopicReply[]).map(([topic, last, count, closed, outcome, detail]) => ({
        ...{ topic, last, count, closed },
        ...(outcome !== null && { outcome: { outcome, ...(detail !== null && { detail }) } }),
      }))
    },
  }
}
