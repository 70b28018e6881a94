import { statSync } from 'node:fs'
import { basename } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'

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
  return `${basename(path)} has grown to ${Math.round(size / 1024 ** 2)} MiB, more than RETENTION_BYTES keeps: a process that reads the database holds a transaction open; end it`
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
