import { statSync } from 'node:fs'
import { basename } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'

/** SQLite copies its log of changes (WAL) into the database at 4 MB, but never makes the file smaller by itself. */
export const WAL_BYTES = 16 * 1024 ** 2

/**
 * Empties a log of changes that has grown, as far as readers of the database allow: a transaction that stays open pins all that was
 * written after it began.
 *
 * @param warnAbove bytes above which a pinned one is worth a warning
 * @returns the warning
 */
export function emptyWal(database: DatabaseSync, file: string, warnAbove: number): string | undefined {
  const path = `${file}-wal`
  if (sizeOf(path) <= WAL_BYTES) return
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)') // waits for nobody: the connection's busy_timeout is 0
  const left = sizeOf(path)
  if (left <= Math.max(warnAbove, WAL_BYTES)) return
  return `${basename(path)} has grown to ${Math.round(left / 1024 ** 2)} MiB, more than RETENTION_BYTES keeps: a process that reads the database holds a transaction open; end it`
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
