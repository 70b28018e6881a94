import type { Filter } from '../../topic.ts'
import { type Page, type ReadLimit, weigh } from '../log.ts'
import * as lua from './lua/scan.ts'
import { entryOfRow, type Row, withTrimmed } from './rows.ts'
import type { RunScript } from './scripts.ts'

/** Approximate limit of the bytes of entries in one reply, including entries that the filter does not match. */
const MAX_REPLY_BYTES = 1024 ** 2
/** Most attempts at a scan. A scan is repeated if entries were trimmed while it ran. */
const MAX_TRIES = 5

/** Reads for a filter with a pattern, which the server cannot match: fetches a limited number of entries of all topics, by seq. */
export async function scan(
  query: RunScript,
  after: number,
  limit: ReadLimit,
  filter: Filter,
  isGone = () => false,
): Promise<Page> {
  const names = JSON.stringify([...filter.topics])
  for (let tries = 1; ; tries++) {
    const reply = await query(lua.scan, after, filter.matchBudget, MAX_REPLY_BYTES, names)
    const [head, floor, scannedTo, rows, namedTrimmedTo, trimmedTopics, trimCount] = reply as [
      ...[number, number, number, Row[], number, number, number],
    ]
    const trimmed =
      trimmedTopics === 0 || after < floor
        ? { trimmedTo: 0, trimCount, floor }
        : await findTrimmed(query, after, filter, isGone)
    const isStale = trimmed.trimCount !== trimCount && (trimmed.trimmedTo > 0 || trimmed.floor > floor)
    if (isStale && tries < MAX_TRIES) continue
    const matches = filter.memoizedMatcher()
    const wanted = rows.filter(([, , topic]) => matches(topic)).map(entryOfRow)
    const page = limit.latest ? await takeLatest(query, wanted, limit, scannedTo) : take(wanted, limit, scannedTo)
    return withTrimmed(page, {
      after,
      head,
      floor: Math.max(floor, trimmed.floor),
      trimmedTo: Math.max(namedTrimmedTo, trimmed.trimmedTo),
    })
  }
}

/** Finds the last seq that was trimmed from a topic of the filter. Also returns the floor and the number of trims at that time. */
async function findTrimmed(query: RunScript, after: number, filter: Filter, isGone: () => boolean) {
  const limit = filter.matchBudget
  for (let before = '+inf'; ; ) {
    const [trimCount, floor, found] = (await query(lua.trimmedAfter, after, before, limit)) as [
      ...[number, number, string[]],
    ]
    for (let i = 0; i < found.length; i += 2)
      if (filter.matches(found[i]!)) return { trimmedTo: Number(found[i + 1]), trimCount, floor }
    if (found.length < 2 * limit || isGone()) return { trimmedTo: 0, trimCount, floor }
    before = `(${found.at(-1)}`
  }
}

/** Takes only the newest entry of each topic, and the entry before it if the newest closes the topic without data. */
async function takeLatest(query: RunScript, wanted: Page['entries'], limit: ReadLimit, scannedTo: number) {
  const topics = [...new Set(wanted.map(({ topic }) => topic))]
  const latest = new Set(((await query(lua.latestSeqs, JSON.stringify(topics))) as number[][]).flat())
  const entries = wanted.filter(({ seq }) => latest.has(seq))
  const page = take(entries, limit, scannedTo)
  const skipped = wanted.findLast(({ seq }) => !latest.has(seq))
  return skipped ? { ...page, conflated: skipped.seq } : page
}

/** Takes as many entries as the limit allows, but at least one. */
function take(wanted: Page['entries'], limit: ReadLimit, scannedTo: number): Page {
  let bytes = 0
  for (const [i, entry] of wanted.entries()) {
    bytes += weigh(entry)
    if (i < limit.count && (i === 0 || bytes <= limit.bytes)) continue
    return { entries: wanted.slice(0, i), scannedTo: entry.seq - 1 }
  }
  return { entries: wanted, scannedTo }
}
