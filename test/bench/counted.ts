import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Sql, SqlRow } from '../../src/log/database.ts'

/** The work of a database, which is the same on every machine. */
export interface Cost {
  /** Rows returned. */
  rows: number
  /** Calls, by the statement's text. */
  readonly calls: Map<string, number>
}

/** An `Sql` like the adapter's, over the caller's database, that counts calls and rows. */
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

/** Counts the work of `run`. */
export async function costOf(sql: { readonly cost: Cost }, run: () => Promise<unknown>): Promise<Cost> {
  const { cost } = sql
  cost.rows = 0
  cost.calls.clear()
  await run()
  return { rows: cost.rows, calls: new Map(cost.calls) }
}

/** SQLite's query plan of a statement. */
export function planOf(database: DatabaseSync, text: string): string {
  const steps = database.prepare(`EXPLAIN QUERY PLAN ${text}`).all()
  return steps.map(({ detail }) => detail).join('; ')
}
