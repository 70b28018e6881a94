import type { Filter } from '../topic.ts'
import type { Turns } from '../turn.ts'
import { type ClockStep, effectiveTime } from './clock.ts'
import { isBareClose, newestFirst } from './scan.ts'
import type { EntryRow, Tables } from './tables.ts'

/** Rows of named topics that one turn looks at. Each row costs one or two more lookups. */
const PAGE = 500

/**
 * The seq before the newest `count` entries of the filter up to `head`; 0 if there are fewer entries or the reader has gone. An entry that
 * closes its topic without data does not count. The search runs in steps of limited size, and takes turns with other reads.
 */
export async function seekLast(
  tables: Tables,
  filter: Filter,
  count: number,
  head: number,
  turns: Turns,
  isGone: () => boolean,
): Promise<number> {
  let left = count
  const found = (row: EntryRow) => !isBareClose(tables, row) && --left === 0
  if (filter.patterns.length === 0) {
    const page = Math.max(1, Math.min(count + 1, Math.floor(PAGE / filter.topics.size)))
    let looked = 0
    // The rows that cursors fetch are about as many as the rows that are looked at.
    for (const row of newestFirst(tables, filter.topics, head, page)) {
      if (found(row)) return row.seq - 1
      if (++looked % PAGE > 0) continue
      await turns.next()
      if (isGone()) return 0
    }
    return 0
  }
  for (let before = head + 1; !isGone(); await turns.next()) {
    const matches = filter.memoizedMatcher()
    const rows = tables.rowsBefore(before, filter.matchBudget)
    for (const row of rows) if (matches(row.topic) && found(row)) return row.seq - 1
    if (rows.length < filter.matchBudget) return 0
    before = rows.at(-1)!.seq
  }
  return 0
}

/** The seq of the last kept entry older than `since`, by binary search, as effective times never fall; 0 if no kept entry is older. */
export function seekSince(tables: Tables, since: number, head: number, steps: readonly ClockStep[]): number {
  let low = 0
  let high = head
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const [row] = tables.rows(middle, 1).rows
    if (!row || row.seq > high || effectiveTime(row, steps) >= since) high = middle
    else low = row.seq
  }
  return low
}
