import { closeSync, fsyncSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { AppError } from '../errors.ts'
import type { Log, LogOptions } from '../log/log.ts'
import { type Sql, type SqlRow, sqlLog } from '../log/sql.ts'

/** The first release without the WAL-reset bug, which could corrupt a file that is checkpointed while it is written. */
const OLDEST_SQLITE = [3, 51, 3] as const

/**
 * Opens, and makes if need be, a log in the file at `path`, for this process alone.
 * WAL with `synchronous=FULL`, read back: what is acknowledged survives a power cut.
 *
 * @throws AppError `log_unusable` (cannot be made or written, or is from a newer version), `log_locked` (another process has it)
 */
export function openSqlite(path: string, options: Partial<LogOptions> = {}): Log {
  const file = place(path)
  const unlock = lock(file)
  try {
    const sql = open(file, unlock)
    const { dev, ino } = statSync(file)
    return sqlLog(sql, { ...options, durability: 'disk', home: `${dev}:${ino}` })
  } catch (cause) {
    unlock()
    if (cause instanceof AppError) throw cause
    throw new AppError('log_unusable', `Cannot open ${file}: ${reason(cause)}`, { cause })
  }
}

/** The file's one true name, whatever links lead to it, so that its lock is one too. */
function place(path: string): string {
  const file = resolve(path)
  try {
    const made = mkdirSync(dirname(file), { recursive: true })
    const database = new DatabaseSync(file)
    database.close()
    syncFolder(dirname(file))
    if (made) syncFolder(dirname(made))
    return join(realpathSync(dirname(file)), basename(realpathSync(file)))
  } catch (cause) {
    throw new AppError(
      'log_unusable',
      `Cannot write the log to ${file}: ${reason(cause)}; name a writable place with LOG=sqlite:PATH`,
      { cause },
    )
  }
}

/** A new name is durable when its folder is (fsync(2)); SQLite does this for its journals, not for what we made. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/**
 * Holds a write transaction on a small database beside the file for as long as the process lives: the kernel ends it with the
 * process, however that ends, and the file itself stays open to readers, so that a backup needs no stop.
 */
function lock(file: string): () => void {
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
    const isBusy = /locked|busy/i.test(reason(cause))
    const holder = isBusy && database ? holderOf(database) : undefined
    database?.close()
    if (!isBusy) throw new AppError('log_unusable', `Cannot lock ${file} with ${path}: ${reason(cause)}`, { cause })
    throw new AppError(
      'log_locked',
      `Cannot open ${file}: ${holder ?? 'another process'} is writing to it (lock ${path}); stop it, or name another file with LOG=sqlite:PATH`,
      { cause },
    )
  }
}

function holderOf(database: DatabaseSync): string | undefined {
  try {
    return `process ${database.prepare('SELECT pid FROM holder').get()!.pid}`
  } catch {
    return // It is just writing its name.
  }
}

function open(file: string, unlock: () => void): Sql {
  const database = new DatabaseSync(file)
  const get = (text: string) => Object.values(database.prepare(text).get() ?? {})[0]
  try {
    const version = String(get('SELECT sqlite_version()'))
    if (isOlder(version))
      throw new AppError('log_unusable', `Cannot use SQLite ${version}: expected ${OLDEST_SQLITE.join('.')} or newer`)
    database.exec(
      'PRAGMA busy_timeout = 5000; PRAGMA mmap_size = 0; PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1; PRAGMA secure_delete = 1',
    )
    const journal = get('PRAGMA journal_mode = WAL')
    database.exec('PRAGMA synchronous = FULL')
    const synchronous = get('PRAGMA synchronous')
    if (journal !== 'wal' || synchronous !== 2)
      throw new AppError(
        'log_unusable',
        `Cannot make ${file} durable: journal_mode is ${journal} (expected wal), synchronous ${synchronous} (expected 2)`,
      )
  } catch (cause) {
    database.close()
    throw cause
  }
  const statements = new Map<string, StatementSync>()
  const prepare = (text: string) => {
    const known = statements.get(text)
    if (known) return known
    const statement = database.prepare(text)
    statements.set(text, statement)
    return statement
  }

  return {
    exec: (text) => database.exec(text),
    all: (text, ...values) => prepare(text).all(...values) as SqlRow[],
    transaction(run) {
      database.exec('BEGIN IMMEDIATE')
      try {
        run()
        database.exec('COMMIT')
      } catch (cause) {
        if (database.isTransaction) database.exec('ROLLBACK')
        throw cause
      }
    },
    scrub() {
      // The log of changes still holds what was there before. Who reads the file just now (a backup) is not waited for.
      database.exec('PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = 5000')
    },
    close() {
      database.close()
      unlock()
    },
  }
}

function isOlder(version: string): boolean {
  const given = version.split('.').map(Number)
  for (const [i, wanted] of OLDEST_SQLITE.entries()) {
    if (given[i] !== wanted) return (given[i] ?? 0) < wanted
  }
  return false
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
