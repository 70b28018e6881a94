import { basename } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sizeOf } from './size.ts'

/** Above this size the WAL is emptied: SQLite copies it into the database at 4 MB, but never makes the file smaller by itself. */
export const WAL_BYTES = 16 * 1024 ** 2

/**
 * Empties a WAL that has grown, as far as readers of the database allow: an open transaction pins everything written after it began.
 *
 * @param warnAbove size in bytes above which a pinned WAL is worth a warning
 * @returns the warning, if there is one
 */
export function emptyWal(database: DatabaseSync, file: string, warnAbove: number): string | undefined {
  const path = `${file}-wal`
  if (sizeOf(path) <= WAL_BYTES) return
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)') // does not wait for readers: the connection's busy_timeout is 0
  const size = sizeOf(path)
  if (size <= Math.max(warnAbove, WAL_BYTES)) return
  const mib = 2 ** Math.floor(Math.log2(size / 1024 ** 2)) // a new sentence, and so a new line, only at twice the size
  return `${basename(path)} has grown past ${mib} MiB, more than RETENTION_BYTES keeps: a process that reads the database holds a transaction open; end it`
}

/**
 * Makes closing the database leave its WAL as it is: SQLite copies the WAL into the database when the last connection is closed, unless that
 * connection may only read.
 *
 * @returns call it after the database was closed
 */
export function keepWal(file: string): () => void {
  let reader: DatabaseSync | undefined
  try {
    reader = new DatabaseSync(file, { readOnly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT * FROM sqlite_schema').get() // begins to read, and so to use the WAL
  } catch {
    // What was written over the database cannot be read or is gone, and so has nothing that the WAL could spoil.
  }
  return () => reader?.close()
}
