import process from 'node:process'
import { DatabaseSync } from 'node:sqlite'
import { AppError, reasonOf } from '../../errors.ts'

/**
 * Holds a write transaction on a small database beside the file for as long as the process lives. The kernel ends the transaction
 * with the process, however the process ends. Other processes can still read the database, so a backup need not stop the hub.
 *
 * @returns releases the lock
 * @throws AppError `log_locked` (another process holds it), `log_unusable`
 */
export function lock(file: string): () => void {
  const path = `${file}-lock`
  let database: DatabaseSync | undefined
  try {
    const held = new DatabaseSync(path)
    database = held
    held.exec('BEGIN IMMEDIATE')
    held.exec('CREATE TABLE IF NOT EXISTS holder (pid INTEGER); DELETE FROM holder')
    held.prepare('INSERT INTO holder VALUES (?)').run(process.pid)
    held.exec('COMMIT; BEGIN IMMEDIATE')
    return () => {
      if (held.isOpen) held.close()
    }
  } catch (cause) {
    const isBusy = isLocked(cause)
    const holder = isBusy && database ? holderOf(database) : undefined
    database?.close()
    if (!isBusy) throw new AppError('log_unusable', `Cannot lock ${file} with ${path}: ${reasonOf(cause)}`, { cause })
    throw new AppError(
      'log_locked',
      `Cannot open ${file}: ${holder ?? 'another process'} is writing to it (lock ${path}); stop it, or name another file with LOG=sqlite:PATH`,
      { cause },
    )
  }
}

/** Whether SQLite refused because another connection has locked the database. */
export function isLocked(cause: unknown): boolean {
  return /locked|busy/i.test(reasonOf(cause))
}

function holderOf(database: DatabaseSync): string | undefined {
  try {
    return `process ${database.prepare('SELECT pid FROM holder').get()!.pid}`
  } catch {
    return // The holder is writing its pid at this moment.
  }
}

/** How long to wait for another process to close the file. */
const PROBE_MS = 1000

/**
 * Whether another process has the database open: a reader such as a backup, or a writer whose lock has another name. SQLite's own
 * locks are on the inode, so they are seen whatever name the file was opened by.
 */
export function isOpenElsewhere(file: string): boolean {
  const probe = new DatabaseSync(file)
  try {
    probe.exec(`PRAGMA busy_timeout = ${PROBE_MS}; PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; ROLLBACK`)
    return false
  } catch (cause) {
    if (!isLocked(cause)) throw cause
    return true
  } finally {
    probe.close()
  }
}
