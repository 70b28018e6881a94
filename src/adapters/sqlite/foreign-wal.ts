import { Buffer } from 'node:buffer'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { basename } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { AppError, reasonOf } from '../../errors.ts'
import { isWalDatabase } from './header.ts'
import { sizeOf } from './size.ts'

/** Sizes and places in a WAL, in bytes (https://sqlite.org/fileformat2.html, 4.1). All numbers are big-endian. */
const WAL = { headerSize: 32, pageSizeAt: 8, saltsAt: 16, saltsSize: 8 }
const FRAME = { headerSize: 24, pagesAfterCommitAt: 4, saltsAt: 8 }

/**
 * Refuses a WAL that does not continue its database, because the database was restored or replaced and the WAL was left beside it. SQLite
 * replays such a WAL page by page. The mix has the newest epoch and head, and lacks entries or cannot be read.
 *
 * Every commit counts itself in `state`. A WAL of n commits that ends at commit c continues a database at any of the commits c - n to c: the
 * WAL has all pages that were changed since. Call it before the database is opened for writing, which may copy the WAL into the database.
 *
 * @throws AppError `log_unusable`; both files are unchanged
 */
export function refuseForeignWal(file: string): void {
  const wal = `${file}-wal`
  if (sizeOf(wal) <= WAL.headerSize || sizeOf(file) === 0) return // SQLite deletes the WAL of an empty file
  if (reading(file, isWalDatabase)) {
    const inDatabase = commitsOf(file, true)
    const inBoth = commitsOf(file, false)
    if (inDatabase === undefined || inBoth === undefined) return // SQLite reports what is wrong
    if (inBoth - commitsIn(wal) <= inDatabase && inDatabase <= inBoth) return
  }
  const name = basename(file)
  throw new AppError(
    'log_unusable',
    `Cannot use ${name}: ${name}-wal does not belong to it, and would overwrite parts of it; if ${name} was restored, remove ${name}-wal and ${name}-shm, and start again`,
  )
}

/** The number of commits in `state`: of the database alone, or with its WAL. 0 before the first commit; undefined if unreadable. */
function commitsOf(file: string, isAlone: boolean): number | undefined {
  const url = pathToFileURL(file)
  if (isAlone) url.searchParams.set('immutable', '1') // SQLite then ignores the WAL
  // Not for writing: closing the last connection that may write copies the WAL into the database.
  const database = new DatabaseSync(url, { readOnly: true })
  try {
    return Number(database.prepare('SELECT commits FROM state').get()?.commits ?? 0)
  } catch (cause) {
    return reasonOf(cause).includes('no such table') ? 0 : undefined
  } finally {
    database.close()
  }
}

/** How many commits a WAL has: frames with the salts of its header that end a commit. Frames with other salts are left over. */
function commitsIn(wal: string): number {
  return reading(wal, (handle) => {
    const header = bytesAt(handle, 0, WAL.headerSize)
    const salts = header.subarray(WAL.saltsAt, WAL.saltsAt + WAL.saltsSize)
    const frameSize = FRAME.headerSize + header.readUInt32BE(WAL.pageSizeAt)
    const { size } = fstatSync(handle)
    let commits = 0
    for (let at = WAL.headerSize; at + frameSize <= size; at += frameSize) {
      const frame = bytesAt(handle, at, FRAME.headerSize)
      if (!salts.equals(frame.subarray(FRAME.saltsAt, FRAME.saltsAt + WAL.saltsSize))) break
      if (frame.readUInt32BE(FRAME.pagesAfterCommitAt) > 0) commits++
    }
    return commits
  })
}

function bytesAt(handle: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  readSync(handle, bytes, 0, length, at)
  return bytes
}

function reading<T>(path: string, read: (handle: number) => T): T {
  const handle = openSync(path, 'r')
  try {
    return read(handle)
  } finally {
    closeSync(handle)
  }
}
