import { AppError } from '../errors.ts'
import type { Alarm } from '../log/alarm.ts'
import type { Sql, SqlRow, SqlValue } from '../log/database.ts'
import type { Log, LogOptions } from '../log/log.ts'
import { sqlLog } from '../log/sql.ts'
import { failureLine } from './event-lines.ts'

/** The part of a Durable Object's state that we use. */
export interface ObjectState {
  readonly id: { readonly name?: string; toString(): string }
  readonly storage: {
    readonly sql: { exec(text: string, ...values: SqlValue[]): { toArray(): SqlRow[] } }
    transactionSync(run: () => void): void
    sync(): Promise<void>
    setAlarm(time: number): Promise<void>
  }
}

/**
 * Opens a log in the SQLite database of a Durable Object, with the SQL text that every runtime uses.
 *
 * Its durability is `disk`: nothing is acknowledged or delivered before `storage.sync()`, which resolves when pending writes are
 * confirmed on disk (Durable Objects, Storage API). The epoch is kept in the storage, so an object keeps it when it is moved or
 * restarted. The local simulator is for development; a test shows that its storage survives kill -9.
 *
 * @param alarm calls the log when its oldest entry is too old; by default a timer of this process
 * @throws AppError `log_unusable`: the database is full, or the platform cannot read it now; its own error goes to the output
 */
export function openObject({ id, storage }: ObjectState, options: Partial<LogOptions> = {}, alarm?: Alarm): Log {
  const sql: Sql = {
    exec: (text) => void storage.sql.exec(text),
    all: (text, ...values) => storage.sql.exec(text, ...values).toArray(),
    transaction: (run) => storage.transactionSync(run),
    flush: () => storage.sync(),
    close: () => {},
  }
  try {
    return sqlLog(sql, { ...options, durability: 'disk', home: id.toString(), alarm, keepsLeases: true })
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    console.error(failureLine('Cannot open the log', cause))
    throw new AppError('log_unusable', 'Cannot open the log now', { cause })
  }
}

/**
 * The alarm of a Durable Object. Unlike a timer, it lets the object leave memory, and wakes it again (Durable Objects, Alarms): the object's
 * `alarm` has to call `Log.sweep`. Setting it writes one row.
 */
export function objectAlarm({ storage }: ObjectState): Alarm {
  return {
    // If setting the alarm fails, the object restarts, and its log sweeps as it opens.
    set: (time) => void storage.setAlarm(time).catch(() => {}),
    clear: () => {},
  }
}
