import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Sql, SqlRow } from '../../src/log/database.ts'

/** Ways in which a commit can fail, depending on the storage. */
export const faults = ['at a statement', 'at the commit', 'after commit', 'no room', 'cut off'] as const
export type Fault = (typeof faults)[number]

/** A database in a file whose commits can be made to fail as on a broken or full disk. */
export class FailingSql {
  readonly #file: string
  #database: DatabaseSync | undefined
  #fault: Fault | undefined
  /** The number of statements before the one that fails. */
  #left = 0

  constructor(file: string) {
    this.#file = file
  }

  open(): Sql {
    const database = new DatabaseSync(this.#file)
    this.#database = database
    database.exec('PRAGMA journal_mode = WAL')
    const statements = new Map<string, StatementSync>()
    const prepared = (text: string) => {
      const statement = statements.get(text) ?? database.prepare(text)
      statements.set(text, statement)
      return statement
    }
    return {
      exec: (text) => database.exec(text),
      all: (text, ...values) => {
        if (this.#fault === 'at a statement' && database.isTransaction && this.#left-- === 0)
          throw new Error('disk I/O error')
        return prepared(text).all(...values) as SqlRow[]
      },
      transaction: (run) => {
        database.exec('BEGIN IMMEDIATE')
        try {
          run()
          if (this.#fault === 'at the commit') throw new Error('disk I/O error')
          database.exec('COMMIT')
        } catch (cause) {
          if (database.isTransaction) database.exec('ROLLBACK')
          throw cause
        }
        if (this.#fault === 'after commit') throw new Error('the answer of the disk was lost')
      },
      close: () => database.close(),
    }
  }

  /** A row of the database, as it is on the disk. */
  row(text: string): SqlRow | undefined {
    return this.#database!.prepare(text).get() as SqlRow | undefined
  }

  /** Runs `act` while commits fail. @param at the number of statements before the failing one, for 'at a statement' */
  async failing(fault: Fault, at: number, act: () => Promise<unknown>): Promise<void> {
    const database = this.#database!
    this.#fault = fault
    this.#left = at
    if (fault === 'no room') {
      const { page_count: pages } = database.prepare('PRAGMA page_count').get()!
      database.exec(`PRAGMA max_page_count = ${pages}`)
    }
    try {
      await act()
    } finally {
      this.#fault = undefined
      if (fault === 'no room') database.exec('PRAGMA max_page_count = 4294967294')
    }
  }
}
