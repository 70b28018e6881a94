import type { TopicRow } from './tables.ts'

type NamedRow = TopicRow & { readonly topic: string }
type Trimmed = { readonly topic: string; readonly trimmed: number }

/** A changed row, and its JSON: most commits change one row, and store all. */
interface Changed {
  readonly row: TopicRow
  readonly json: string
}

/**
 * The rows of the topics that changed last. They are stored together, in the row that every commit writes anyway, so that a publish writes
 * neither the topic's row nor its places in indexes: Durable Objects are billed by rows written, and a row costs SQLite more than a text.
 * Once they are more than `MAX_JSON` bytes, all are written to the table of topics.
 *
 * A transaction changes a copy, which becomes the present one if the transaction succeeds.
 */
export class RecentTopics {
  readonly #rows: Map<string, Changed>
  #bytes: number

  private constructor(rows: Map<string, Changed>, bytes: number) {
    this.#rows = rows
    this.#bytes = bytes
  }

  static parse(json: string): RecentTopics {
    const recent = new RecentTopics(new Map(), 0)
    for (const [name, count, bytes, trimmed, closed] of JSON.parse(json) as [string, number, number, number, number][])
      recent.set(name, { count, bytes, trimmed, closed })
    return recent
  }

  copy(): RecentTopics {
    return new RecentTopics(new Map(this.#rows), this.#bytes)
  }

  /** The rows as JSON: a list of `[name, count, bytes, trimmed, closed]`. */
  get json(): string {
    const texts: string[] = []
    for (const { json } of this.#rows.values()) texts.push(json)
    return `[${texts.join()}]`
  }

  /** Whether the rows belong into the table now. */
  get isFull(): boolean {
    return this.#bytes > MAX_JSON
  }

  get(name: string): TopicRow | undefined {
    return this.#rows.get(name)?.row
  }

  set(name: string, row: TopicRow): void {
    const { count, bytes, trimmed, closed } = row
    const json = JSON.stringify([name, count, bytes, trimmed, closed])
    this.#bytes += json.length - (this.#rows.get(name)?.json.length ?? 0)
    this.#rows.set(name, { row: { count, bytes, trimmed, closed }, json })
  }

  /** Removes all rows and returns them. */
  take(): readonly NamedRow[] {
    const all = Array.from(this.#rows, ([topic, { row }]) => ({ topic, ...row }))
    this.#rows.clear()
    this.#bytes = 0
    return all
  }

  /**
   * Adds these rows to a page of the table, in the order of names.
   *
   * @param rows fetches the first rows of the table that are in the page's range
   * @param isIn whether a name is in the page's range
   */
  page(rows: (limit: number) => readonly NamedRow[], isIn: (name: string) => boolean, limit: number): NamedRow[] {
    const asked = limit + this.#rows.size // as many rows of the table may be out of date
    const stored = rows(asked)
    const last = stored.length < asked ? undefined : stored.at(-1)!.topic
    const page = stored.filter(({ topic }) => !this.#rows.has(topic))
    for (const [topic, { row }] of this.#rows)
      if (isIn(topic) && (last === undefined || topic <= last) && (row.count > 0 || row.closed > 0))
        page.push({ topic, ...row })
    return page.sort((a, b) => (a.topic < b.topic ? -1 : 1)).slice(0, limit)
  }

  /** Adds the topics that were trimmed after `seq` to those of the table. Both lists begin with the topic that was trimmed last. */
  *trimmedAfter(seq: number, stored: Iterable<Trimmed>): Iterable<Trimmed> {
    const rows = new Map(this.#rows)
    const own = Array.from(rows, ([topic, { row }]) => ({ topic, trimmed: row.trimmed }))
      .filter(({ trimmed }) => trimmed > seq)
      .sort((a, b) => a.trimmed - b.trimmed)
    for (const one of stored) {
      if (rows.has(one.topic)) continue
      while (own.length > 0 && own.at(-1)!.trimmed > one.trimmed) yield own.pop()!
      yield one
    }
    while (own.length > 0) yield own.pop()!
  }
}

/** Bytes of JSON: with the rest of the row well within one page of SQLite, 4 KiB. */
const MAX_JSON = 2048
