import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Sql, SqlRow } from '../../src/log/database.ts'

/** What was asked of a database: the same on every machine. */
export interface Cost {
  /** Rows that came back. */
  rows: number
  /** Calls, by the statement's text. */
  readonly calls: Map<string, number>
}

/** An `Sql` as the adapter's, over a database of the caller's, that counts what it is asked. */
export function countedSql(database: DatabaseSync): Sql & { readonly cost: Cost } {
  const cost: Cost = { rows: 0, calls: new Map() }
  const statements = new Map<string, StatementSync>()
  const prepare = (text: string) => {
    const statement = statements.get(text) ?? database.prepare(text)
    statements.set(text, statement)
    return statement
  }
  return {
    cost,
    exec: (text) => database.exec(text),
    all(text, ...values) {
      const rows = prepare(text).all(...values) as SqlRow[]
      cost.rows += rows.length
      cost.calls.set(text, (cost.calls.get(text) ?? 0) + 1)
      return rows
    },
    transaction(run) {
      database.exec('BEGIN IMMEDIATE')
      try {
        run()
        database.exec('COMMIT')
      } catch (cause) {
        database.exec('ROLLBACK')
        throw cause
      }
    },
    close: () => database.close(),
  }
}

/** What something costs. */
export async function costOf(sql: { readonly cost: Cost }, run: () => Promise<unknown>): Promise<Cost> {
  const { cost } = sql
  cost.rows = 0
  cost.calls.clear()
  await run()
  return { rows: cost.rows, calls: new Map(cost.calls) }
}

/** How SQLite finds what a statement asks for. */
export function planOf(database: DatabaseSync, text: string): string {
  const steps = database.prepare(`EXPLAIN QUERY PLAN ${text}`).all()
  return steps.map(({ detail }) => detail).join('; ')
}
