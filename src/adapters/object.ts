import type { Sql, SqlRow, SqlValue } from '../log/database.ts'
import type { Log, LogOptions } from '../log/log.ts'
import { sqlLog } from '../log/sql.ts'

/** The part of a Durable Object's state that we use. */
export interface ObjectState {
  readonly id: { toString(): string }
  readonly storage: {
    readonly sql: { exec(text: string, ...values: SqlValue[]): { toArray(): SqlRow[] } }
    transactionSync(run: () => void): void
    sync(): Promise<void>
  }
}

/**
 * Opens a log in the SQLite database of a Durable Object, with the SQL text that every runtime uses.
 *
 * Its durability is `disk`: nothing is acknowledged or delivered before `storage.sync()`, which resolves when pending writes are
 * confirmed on disk (Durable Objects, Storage API). The epoch is kept in the storage, so an object keeps it when it is moved or
 * restarted. The local simulator is for development; a test shows that its storage survives kill -9.
 */
export function openObject({ id, storage }: ObjectState, options: Partial<LogOptions> = {}): Log {
  const sql: Sql = {
    exec: (text) => void storage.sql.exec(text),
    all: (text, ...values) => storage.sql.exec(text, ...values).toArray(),
    transaction: (run) => storage.transactionSync(run),
    flush: () => storage.sync(),
    close: () => {},
  }
  return sqlLog(sql, { ...options, durability: 'disk', home: id.toString() })
}
