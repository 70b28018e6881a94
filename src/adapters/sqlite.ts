import { mkdirSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { AppError, reasonOf } from '../errors.ts'
import type { Sql, SqlRow } from '../log/database.ts'
import { defaultLogOptions, type Log, type LogOptions } from '../log/log.ts'
import { sqlLog } from '../log/sql.ts'
import { Warnings } from '../log/warnings.ts'
import { refuseForeignWal } from './sqlite/foreign-wal.ts'
import { isLocked, isOpenElsewhere, lock } from './sqlite/lock.ts'
import { OpenFiles, refuseSecondName } from './sqlite/names.ts'
import { syncFolder, tipFile } from './sqlite/tip.ts'
import { emptyWal, keepWal, WAL_BYTES } from './sqlite/wal.ts'

/** The first release without the WAL-reset bug, which could corrupt a file that is checkpointed while it is written. */
const OLDEST_SQLITE = [3, 51, 3] as const
/** How often the files and their sizes are checked. */
const CHECK_MS = 1000

/**
 * Opens a log in the file at `path` for this process alone, and creates the file if it does not exist. Sets SQLite to WAL with
 * `synchronous=FULL`, and verifies both: so acknowledged events survive a power cut.
 *
 * @throws AppError `log_unusable` (the file cannot be created or written, has a second name or the WAL of another database, or is from a
 *   newer version), `log_locked` (another process writes to it)
 * @example
 * const durable = new Hub(() => openSqlite('data/hub.db', { retention: { ageMs: 86_400_000 } }))
 */
export function openSqlite(path: string, options: Partial<LogOptions> = {}): Log {
  const file = canonicalPath(path)
  refuseSecondName(file)
  const releases = [lock(file)]
  const release = (): void => {
    const releaseNext = releases.pop()
    if (!releaseNext) return
    try {
      releaseNext()
    } finally {
      release() // releases the lock even if another release fails
    }
  }
  try {
    refuseForeignWal(file)
    if (isOpenElsewhere(file))
      options.warn?.(
        `Another process has ${basename(file)} open. A backup is harmless; if it is another hub, stop one of them`,
      )
    const tip = tipFile(`${file}-tip`)
    releases.push(() => tip.close())
    const database = openDatabase(file)
    releases.push(() => database.close())
    const { dev, ino } = statSync(file)
    const sql = checked(database, file, options, release)
    const log = sqlLog(sql, { ...options, durability: 'disk', home: `${dev}:${ino}`, tip })
    sql.startChecks()
    return log
  } catch (cause) {
    release()
    if (cause instanceof AppError) throw cause
    throw new AppError('log_unusable', `Cannot open ${file}: ${reasonOf(cause)}`, { cause })
  }
}

/** Creates the file and its folder. Returns its path without symbolic links, so that all paths of the file lead to the same lock. */
function canonicalPath(path: string): string {
  const file = resolve(path)
  try {
    const created = mkdirSync(dirname(file), { recursive: true })
    const database = new DatabaseSync(file)
    database.close()
    syncFolder(dirname(file))
    if (created) syncFolder(dirname(created))
    return join(realpathSync(dirname(file)), basename(realpathSync(file)))
  } catch (cause) {
    throw new AppError(
      'log_unusable',
      `Cannot write the log to ${file}: ${reasonOf(cause)}; name a writable file with LOG=sqlite:PATH`,
      { cause },
    )
  }
}

function openDatabase(file: string): DatabaseSync {
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
    database.exec(`PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${WAL_BYTES}`)
    const synchronous = get('PRAGMA synchronous')
    if (journal !== 'wal' || synchronous !== 2)
      throw new AppError(
        'log_unusable',
        `Cannot make ${file} durable: journal_mode is ${journal} (expected wal), synchronous ${synchronous} (expected 2)`,
      )
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}

/** The database as the log uses it, with checks of its files that `startChecks` begins. */
function checked(
  database: DatabaseSync,
  file: string,
  { warn, retention }: Partial<LogOptions>,
  release: () => void,
): Sql & { startChecks(): void } {
  const warnings = new Warnings(warn)
  const statements = new Map<string, StatementSync>()
  const prepare = (text: string) => {
    const prepared = statements.get(text)
    if (prepared) return prepared
    const statement = database.prepare(text)
    statements.set(text, statement)
    return statement
  }
  const walLimit = retention?.bytes ?? defaultLogOptions.retention.bytes!
  let files: OpenFiles | undefined
  let checks: ReturnType<typeof setInterval> | undefined
  /** The error that the last check found. */
  let broken: AppError | undefined
  /** Whether the WAL still holds erased events, because another process reads it. */
  let isScrubDue = false

  function scrub(): void {
    isScrubDue = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()!.busy !== 0
  }

  function check(): void {
    try {
      files!.verifyAll()
      broken = undefined
      if (isScrubDue) scrub()
      warnings.set('wal', emptyWal(database, file, walLimit))
    } catch (cause) {
      if (cause instanceof AppError) broken = cause // any other error: the next check tries again
    }
    warnings.set('files', broken?.message)
  }

  return {
    cutsText: prepare("SELECT 'a' || char(0) || 'b' AS text").get()!.text !== 'a\0b',
    exec: (text) => database.exec(text),
    all: (text, ...values) => prepare(text).all(...values) as SqlRow[],
    transaction(run) {
      this.verify!()
      try {
        database.exec('BEGIN IMMEDIATE')
      } catch (cause) {
        if (!isLocked(cause)) throw cause
        throw new AppError('log_unavailable', 'Cannot write to the log now: another process has locked its file', {
          cause,
          retryAfterS: 2,
        })
      }
      try {
        run()
        database.exec('COMMIT')
      } catch (cause) {
        if (database.isTransaction) database.exec('ROLLBACK')
        throw cause
      }
    },
    startChecks() {
      files = new OpenFiles(file)
      database.exec('PRAGMA busy_timeout = 0') // a wait inside SQLite would block the event loop: the log retries instead
      checks = setInterval(check, CHECK_MS)
      checks.unref()
    },
    verify() {
      if (broken) check()
      if (broken) throw broken
      files?.verify()
    },
    warnings: () => warnings.list,
    scrub, // erased events stay in the WAL until no process (a backup, say) reads it
    close() {
      clearInterval(checks)
      const closeReader = files?.isOverwritten ? keepWal(file) : () => {} // the next start refuses this WAL
      release()
      closeReader()
      files?.close()
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
