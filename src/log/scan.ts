import type { Filter } from '../topic.ts'
import { type Entry, type Page, type ReadLimit, weigh } from './log.ts'
import type { Tables } from './tables.ts'

/** Rows of any topic that one read with a pattern looks at, at most. */
const SCAN_ROWS = 1000

/** Reads by seq, whatever the topic, a bounded number of rows: for filters with a pattern. */
export function scan(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number): Page {
  const { rows, to } = tables.rows(after, SCAN_ROWS)
  const wanted = rows.filter((row) => row.seq <= head && filter.matches(row.topic)).map((row) => row.seq)
  return take(tables, wanted, limit, Math.min(to, head))
}

/** Reads named topics by a merge of one cursor each, so that the cost is that of what is returned, not of what is skipped. */
export function merge(tables: Tables, after: number, limit: ReadLimit, filter: Filter, head: number): Page {
  const page = Math.max(4, Math.ceil((2 * limit.count) / filter.topics.size))
  const cursors = [...filter.topics].map((topic) => cursor(tables, topic, after, page))
  const wanted: number[] = []
  while (wanted.length <= limit.count) {
    let first: ReturnType<typeof cursor> | undefined
    for (const c of cursors) if (c.seq() < (first?.seq() ?? Number.POSITIVE_INFINITY)) first = c
    if (!first || first.seq() > head) break
    wanted.push(first.seq())
    first.advance()
  }
  return take(tables, wanted, limit, head)
}

function cursor(tables: Tables, topic: string, after: number, page: number) {
  let rows = tables.topicRows(topic, after, page)
  let at = 0
  return {
    seq: () => rows[at]?.seq ?? Number.POSITIVE_INFINITY,
    advance() {
      const last = rows[at]!.seq
      at++
      if (at < rows.length || rows.length < page) return
      rows = tables.topicRows(topic, last, page)
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
