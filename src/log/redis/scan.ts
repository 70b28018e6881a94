import type { Filter } from '../../topic.ts'
import { type Page, type ReadLimit, weigh } from '../log.ts'
import * as lua from './lua/scan.ts'
import { entryOf, type Row, withLosses } from './rows.ts'

type Ask = (script: string, ...values: readonly (string | number)[]) => Promise<unknown>

/** Most bytes of rows that one look takes from the server, whatever of them is wanted. */
const LOOK_BYTES = 1024 ** 2
/** How often a page is read again because something was trimmed meanwhile. */
const MAX_TRIES = 5

/** Reads by seq, whatever the topic, a bounded number of rows: for filters with a pattern, which only we can match. */
export async function scanned(
  ask: Ask,
  after: number,
  limit: ReadLimit,
  filter: Filter,
  isGone = () => false,
): Promise<Page> {
  const names = JSON.stringify([...filter.topics])
  for (let tries = 1; ; tries++) {
    const answer = await ask(lua.scan, after, filter.perTurn, LOOK_BYTES, names)
    const [head, floor, scannedTo, rows, named, suspects, trims] = answer as [
      ...[number, number, number, Row[], number, number, number],
    ]
    const lost =
      suspects === 0 || after < floor ? { to: 0, trims, floor } : await lastTrimmed(ask, after, filter, isGone)
    if (lost.trims !== trims && (lost.to > 0 || lost.floor > floor) && tries < MAX_TRIES) continue
    const matches = filter.remembering()
    const wanted = rows.filter(([, , topic]) => matches(topic)).map(entryOf)
    const page = limit.latest ? await newest(ask, wanted, limit, scannedTo) : take(wanted, limit, scannedTo)
    return withLosses(page, { after, head, floor: Math.max(floor, lost.floor), to: Math.max(named, lost.to) })
  }
}

/** The last seq of a filter's topics that was trimmed after another, by what was known after so many trims. */
async function lastTrimmed(ask: Ask, after: number, filter: Filter, isGone: () => boolean) {
  const page = filter.perTurn
  for (let before = '+inf'; ; ) {
    const answer = await ask(lua.trimmedAfter, after, before, page)
    const [trims, floor, found] = answer as [number, number, string[]]
    for (let i = 0; i < found.length; i += 2)
      if (filter.matches(found[i]!)) return { to: Number(found[i + 1]), trims, floor }
    if (found.length < 2 * page || isGone()) return { to: 0, trims, floor }
    before = `(${found.at(-1)}`
  }
}

/** Only what topics stand at. */
async function newest(ask: Ask, wanted: Page['entries'], limit: ReadLimit, scannedTo: number): Promise<Page> {
  const topics = [...new Set(wanted.map(({ topic }) => topic))]
  const standings = (await ask(lua.latestSeqs, JSON.stringify(topics))) as number[][]
  const seqs = new Set(standings.flat())
  const page = take(
    wanted.filter(({ seq }) => seqs.has(seq)),
    limit,
    scannedTo,
  )
  const passed = wanted.findLast(({ seq }) => seq <= page.scannedTo && !seqs.has(seq))
  return passed ? { ...page, conflated: passed.seq } : page
}

function take(wanted: Page['entries'], limit: ReadLimit, scannedTo: number): Page {
  let bytes = 0
  for (const [i, entry] of wanted.entries()) {
    bytes += weigh(entry)
    if (i < limit.count && (i === 0 || bytes <= limit.bytes)) continue
    return { entries: wanted.slice(0, i), scannedTo: entry.seq - 1 }
  }
  return { entries: wanted, scannedTo }
}
