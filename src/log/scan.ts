import type { Filter } from '../topic.ts'
import type { Page, ReadLimit } from './log.ts'
import type { EntryRow, Tables } from './tables.ts'

/** Rows that a scan fetches at once: not many more than a page holds. */
const STEP = 100

/** Reads for a filter with a pattern: looks at a limited number of rows of all topics, in the order of seq. */
export function scan(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number): Page {
  const { wanted, to } = look(tables, after, limit, filter, head)
  const scannedTo = Math.min(to, head)
  if (!limit.latest) return take(tables, wanted, limit, scannedTo)
  const standings = new Map<string, readonly EntryRow[]>()
  const isNewest = ({ topic, seq }: EntryRow) => {
    const rows = standings.get(topic) ?? standing(tables, topic)
    standings.set(topic, rows)
    return rows.some((row) => row.seq === seq)
  }
  const page = take(tables, wanted.filter(isNewest), limit, scannedTo)
  return conflated(page, wanted.findLast((row) => !isNewest(row))?.seq)
}

/** The rows that a filter matches. Stops when a page is full, or after the number of rows that one turn may look at. */
function look(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number) {
  const wanted: EntryRow[] = []
  const matches = filter.memoizedMatcher()
  let to = after
  for (let left = filter.matchBudget; left > 0 && to < head && wanted.length <= limit.count; left -= STEP) {
    const looked = tables.rows(to, Math.min(left, STEP))
    for (const row of looked.rows) if (row.seq <= head && matches(row.topic)) wanted.push(row)
    to = looked.to
  }
  return { wanted, to }
}

/** Reads named topics by merging one cursor per topic. Costs about what it returns; entries of other topics cost nothing. */
export function merge(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number): Page {
  if (limit.latest) return newestOfEach(tables, after, limit, filter, head)
  const page = Math.max(4, Math.ceil((2 * limit.count) / filter.topics.size))
  const cursors = [...filter.topics].map((topic) =>
    cursor(page, (last) => tables.topicRows(topic, last?.seq ?? after, page)),
  )
  const wanted: EntryRow[] = []
  while (wanted.length <= limit.count) {
    let first: TopicCursor | undefined
    for (const c of cursors) if (c.row && c.row.seq < (first?.row?.seq ?? Number.POSITIVE_INFINITY)) first = c
    if (!first?.row || first.row.seq > head) break
    wanted.push(first.row)
    first.advance()
  }
  return take(tables, wanted, limit, head)
}

/** The rows of named topics, newest first, by merging one cursor per topic. */
export function* newestFirst(tables: Tables, names: Iterable<string>, head: number, page: number): Iterable<EntryRow> {
  const cursors = [...names].map((topic) =>
    cursor(page, (last) => tables.topicRowsBefore(topic, last?.seq ?? head + 1, page)),
  )
  for (;;) {
    let first: TopicCursor | undefined
    for (const c of cursors) if (c.row && c.row.seq > (first?.row?.seq ?? 0)) first = c
    if (!first?.row) return
    yield first.row
    first.advance()
  }
}

/** Whether an entry closes its topic without data. The topic's current value is then in the entry before. */
export function isBareClose(tables: Tables, { topic, seq }: Pick<EntryRow, 'topic' | 'seq'>): boolean {
  return tables.topic(topic)?.closed === seq && tables.entry(seq)?.data === undefined
}

/** The rows with a topic's current value, oldest first: the newest row, preceded by the row before if the newest is a bare close. */
function standing(tables: Tables, topic: string): readonly EntryRow[] {
  const [newest, before] = tables.topicRowsBefore(topic, Number.MAX_SAFE_INTEGER, 2)
  if (!newest) return []
  return before && isBareClose(tables, newest) ? [before, newest] : [newest]
}

function newestOfEach(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number): Page {
  const wanted: EntryRow[] = []
  let passed = 0
  for (const topic of filter.topics) {
    const rows = standing(tables, topic).filter(({ seq }) => seq > after)
    wanted.push(...rows)
    const [before] = rows.length > 0 ? tables.topicRowsBefore(topic, rows[0]!.seq, 1) : []
    if (before && before.seq > after) passed = Math.max(passed, before.seq)
  }
  const page = take(
    tables,
    wanted.sort((a, b) => a.seq - b.seq),
    limit,
    head,
  )
  return conflated(page, passed > 0 ? passed : undefined)
}

function conflated(page: Page, seq: number | undefined): Page {
  return seq === undefined ? page : { ...page, conflated: seq }
}

interface TopicCursor {
  readonly row: EntryRow | undefined
  advance(): void
}

/** A cursor over one topic. @param more returns the next rows after `last`; fewer than `page` rows are the last ones */
function cursor(page: number, more: (last?: EntryRow) => readonly EntryRow[]): TopicCursor {
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

/** A page with the entries of the first rows, as many as the limit allows and at least one. */
function take(tables: Tables, rows: readonly EntryRow[], limit: ReadLimit, scannedTo: number): Page {
  let bytes = 0
  let count = 0
  for (const row of rows) {
    bytes += row.bytes
    if (count === limit.count || (count > 0 && bytes > limit.bytes)) break
    count++
  }
  const entries = count === 0 ? [] : tables.entries(rows.slice(0, count).map(({ seq }) => seq))
  return { entries, scannedTo: count < rows.length ? rows[count]!.seq - 1 : scannedTo }
}
