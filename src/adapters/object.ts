import type { Sql, SqlRow, SqlValue } from '../log/database.ts'
import type { Log, LogOptions } from '../log/log.ts'
import { sqlLog } from '../log/sql.ts'

/** What we call of a Durable Object's state. */
export interface ObjectState {
  readonly id: { toString(): string }
  readonly storage: {
    readonly sql: { exec(text: string, ...values: SqlValue[]): { toArray(): SqlRow[] } }
    transactionSync(run: () => void): void
    sync(): Promise<void>
  }
}

/**
 * Opens a log in the SQLite database of a Durable Object: the SQL text that every runtime uses.
 *
 * The durability is `disk`: nothing is acknowledged or delivered before `storage.sync()`, which resolves when pending writes have
 * been confirmed on disk (Durable Objects, Storage API). The epoch lives in the storage, so an object that is moved or
 * started again keeps it. The local simulator is for development; that its storage survives kill -9 is tested.
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
