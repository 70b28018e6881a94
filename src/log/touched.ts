import { isEmptied, isOnlyClosed } from './rules.ts'
import type { Tables, TopicRow } from './tables.ts'

/** The topics that a commit touches. Each row is read once, and is written once if it changed. */
export class Touched {
  readonly #tables: Tables
  readonly #rows = new Map<string, { readonly row: TopicRow; readonly before: TopicRow | undefined }>()

  constructor(tables: Tables) {
    this.#tables = tables
  }

  /** The row of a topic. Callers change the row in place. */
  get(name: string): TopicRow {
    const known = this.#rows.get(name)
    if (known) return known.row
    const before = this.#tables.topic(name)
    const row = before ? { ...before } : { count: 0, bytes: 0, trimmed: 0, closed: 0 }
    this.#rows.set(name, { row, before })
    return row
  }

  *[Symbol.iterator](): Iterator<[string, TopicRow]> {
    for (const [name, { row }] of this.#rows) yield [name, row]
  }

  /** Stores the changed rows. Returns how many more emptied topics, and closed topics without entries, there are now; may be negative. */
  save(): { readonly emptied: number; readonly onlyClosed: number } {
    let [emptied, onlyClosed] = [0, 0]
    for (const [name, { row, before }] of this.#rows) {
      if (!isChanged(row, before)) continue
      this.#tables.setTopic(name, row)
      emptied += Number(isEmptied(row)) - Number(before !== undefined && isEmptied(before))
      onlyClosed += Number(isOnlyClosed(row)) - Number(before !== undefined && isOnlyClosed(before))
    }
    return { emptied, onlyClosed }
  }
}

function isChanged(row: TopicRow, before: TopicRow | undefined): boolean {
  if (!before) return row.count > 0 || row.trimmed > 0
  return (
    row.count !== before.count ||
    row.bytes !== before.bytes ||
    row.trimmed !== before.trimmed ||
    row.closed !== before.closed
  )
}
