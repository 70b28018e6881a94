import type { Filter } from '../topic.ts'
import { type Entry, type Page, type ReadLimit, weigh } from './log.ts'
import type { EntryRow, Tables } from './tables.ts'

/** Reads by seq, whatever the topic, a bounded number of rows: for filters with a pattern. */
export function scan(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number): Page {
  const { rows, to } = tables.rows(after, filter.perTurn)
  const wanted = rows.filter((row) => row.seq <= head && filter.matches(row.topic))
  const scannedTo = Math.min(to, head)
  if (!limit.latest) return take(tables, seqsOf(wanted), limit, scannedTo)
  const standings = new Map<string, readonly number[]>()
  const isNewest = ({ topic, seq }: EntryRow) => {
    const seqs = standings.get(topic) ?? standing(tables, topic)
    standings.set(topic, seqs)
    return seqs.includes(seq)
  }
  const page = take(tables, seqsOf(wanted.filter(isNewest)), limit, scannedTo)
  return conflated(page, wanted.findLast((row) => row.seq <= page.scannedTo && !isNewest(row))?.seq)
}

/** Reads named topics by a merge of one cursor each, so that the cost is that of what is returned, not of what is skipped. */
export function merge(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number): Page {
  if (limit.latest) return newestOfEach(tables, after, limit, filter, head)
  const page = Math.max(4, Math.ceil((2 * limit.count) / filter.topics.size))
  const cursors = [...filter.topics].map((topic) =>
    cursor(page, (last) => tables.topicRows(topic, last?.seq ?? after, page)),
  )
  const wanted: number[] = []
  while (wanted.length <= limit.count) {
    let first: Cursor | undefined
    for (const c of cursors) if (c.row && c.row.seq < (first?.row?.seq ?? Number.POSITIVE_INFINITY)) first = c
    if (!first?.row || first.row.seq > head) break
    wanted.push(first.row.seq)
    first.advance()
  }
  return take(tables, wanted, limit, head)
}

/** The rows of named topics, newest first, by a merge as above. */
export function* newestFirst(tables: Tables, names: Iterable<string>, head: number, page: number): Iterable<EntryRow> {
  const cursors = [...names].map((topic) =>
    cursor(page, (last) => tables.topicRowsBefore(topic, last?.seq ?? head + 1, page)),
  )
  for (;;) {
    let first: Cursor | undefined
    for (const c of cursors) if (c.row && c.row.seq > (first?.row?.seq ?? 0)) first = c
    if (!first?.row) return
    yield first.row
    first.advance()
  }
}

/** Whether an entry closes its topic without a word: what the topic stands at was said before it. */
export function isBareClose(tables: Tables, { topic, seq }: Pick<EntryRow, 'topic' | 'seq'>): boolean {
  return tables.topic(topic)?.closed === seq && tables.entry(seq)?.data === undefined
}

/** The seqs that say how a topic stands: of its newest entry, and if that is a bare close, of the one before as well. */
function standing(tables: Tables, topic: string): readonly number[] {
  const seq = tables.newest(topic)
  if (seq === undefined) return []
  if (!isBareClose(tables, { topic, seq })) return [seq]
  return [...seqsOf(tables.topicRowsBefore(topic, seq, 1)), seq]
}

function newestOfEach(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number): Page {
  const wanted: number[] = []
  let passed = 0
  for (const topic of filter.topics) {
    const seqs = standing(tables, topic).filter((seq) => seq > after)
    wanted.push(...seqs)
    const [before] = seqs.length > 0 ? tables.topicRowsBefore(topic, seqs[0]!, 1) : []
    if (before && before.seq > after) passed = Math.max(passed, before.seq)
  }
  const page = take(
    tables,
    wanted.sort((a, b) => a - b),
    limit,
    head,
  )
  return conflated(page, passed > 0 && passed <= page.scannedTo ? passed : undefined)
}

function conflated(page: Page, seq: number | undefined): Page {
  return seq === undefined ? page : { ...page, conflated: seq }
}

interface Cursor {
  readonly row: EntryRow | undefined
  advance(): void
}

/** @param more gives the next rows after the last one, fewer than `page` at the end */
function cursor(page: number, more: (last?: EntryRow) => readonly EntryRow[]): Cursor {
  let rows = more()
  let at = 0
  return {
    get row() {
      return rows[at]
    },
    advance() {
      const last = rows[at]
      at++
      if (at < rows.length || rows.length < page) return
      rows = more(last)
      at = 0
    },
  }
}

function take(tables: Tables, seqs: readonly number[], limit: ReadLimit, scannedTo: number): Page {
  const entries: Entry[] = []
  let bytes = 0
  for (const seq of seqs) {
    const entry = entries.length < limit.count ? tables.entry(seq) : undefined
    bytes += entry ? weigh(entry) : 0
    if (!entry || (entries.length > 0 && bytes > limit.bytes)) return { entries, scannedTo: seq - 1 }
    entries.push(entry)
  }
  return { entries, scannedTo }
}

function seqsOf(rows: readonly EntryRow[]): number[] {
  return rows.map(({ seq }) => seq)
}
