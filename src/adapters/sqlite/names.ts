import { closeSync, openSync, readFileSync, type Stats, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { isWalDatabase } from './header.ts'

/** The files of a database: itself, SQLite's WAL and the index of it, our lock and our tip. */
const SUFFIXES = ['', '-wal', '-shm', '-lock', '-tip'] as const

const ONE_NAME = 'the lock is found by the name of the file, so a second process could write through the other name'

/**
 * Refuses a database that has a second name: a hard link, or a mount of the file itself. Its lock and its WAL are found by its name, so
 * two processes with two names would both write to it.
 *
 * @throws AppError `log_unusable`
 */
export function refuseSecondName(file: string): void {
  const name = basename(file)
  const { nlink } = statSync(file)
  if (nlink > 1)
    throw new AppError(
      'log_unusable',
      `Cannot use ${name} as the log: it has ${nlink} hard links, and ${ONE_NAME}; remove the others`,
    )
  if (isMountPoint(file))
    throw new AppError(
      'log_unusable',
      `Cannot use ${name} as the log: the file itself is a mount, and ${ONE_NAME}; mount the folder that holds it`,
    )
}

/** Whether something is mounted at a path; only Linux mounts files. */
function isMountPoint(path: string): boolean {
  let mounts: string
  try {
    mounts = readFileSync('/proc/self/mountinfo', 'utf8') // proc_pid_mountinfo(5): the fifth field, with octal escapes
  } catch {
    return false
  }
  return mounts.split('\n').some((line) => unescaped(line.split(' ')[4] ?? '') === path)
}

function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** The files of an open database. While it is open, each must keep its inode, and only SQLite may write to them. */
export class OpenFiles {
  readonly #file: string
  readonly #opened: ReadonlyMap<string, Stats>
  /** The folder as the last check found it. */
  #folder: Stats | undefined
  /** Of the database. Closing it releases the locks that this process has on the file (fcntl_locking(2)), and so those of SQLite. */
  readonly #handle: number
  #isOverwritten = false

  /** @param file the database, which must be open and in WAL mode, so that all its files exist */
  constructor(file: string) {
    this.#file = file
    this.#opened = new Map(SUFFIXES.map((suffix) => [suffix, statSync(file + suffix)]))
    this.#handle = openSync(file, 'r')
  }

  /** Whether another database was written over this one. SQLite would write pages of the WAL over it. */
  get isOverwritten(): boolean {
    return this.#isOverwritten
  }

  /** Call it after the database was closed. */
  close(): void {
    closeSync(this.#handle)
  }

  /**
   * Checks a byte of the database, and the folder, which changes when a name in it is created or deleted. Checking the other files would
   * make their next fsync 50 µs slower (measured on Linux 6.18): once a timestamp was read, the next write has to update the inode as well.
   *
   * @throws AppError `log_unusable` if the database under this name is no longer the one that commits are written to, or was overwritten
   */
  verify(): void {
    this.#verifyContent()
    const folder = statSync(dirname(this.#file), { throwIfNoEntry: false })
    if (folder && this.#folder && isUnchanged(folder, this.#folder)) return
    for (const suffix of ['', '-wal']) this.#verify(suffix)
    this.#folder = folder
  }

  /** Checks each file, and that the database has no second name now. @throws AppError `log_unusable` */
  verifyAll(): void {
    this.#verifyContent()
    for (const suffix of SUFFIXES) this.#verify(suffix)
    refuseSecondName(this.#file)
  }

  #verifyContent(): void {
    this.#isOverwritten ||= !isWalDatabase(this.#handle)
    if (this.#isOverwritten) throw this.#lost('', 'overwritten')
  }

  #verify(suffix: string): void {
    const { dev, ino } = this.#opened.get(suffix)!
    const found = statSync(this.#file + suffix, { throwIfNoEntry: false })
    if (found?.ino === ino && found.dev === dev) return
    throw this.#lost(suffix, found === undefined ? 'deleted' : 'replaced')
  }

  #lost(suffix: string, what: string): AppError {
    const remedy = suffix === '' || suffix === '-wal' ? 'stop the hub, restore the database' : 'stop the hub'
    return new AppError(
      'log_unusable',
      `Cannot use the log: ${basename(this.#file)}${suffix} was ${what} while the hub had it open; ${remedy}, and start it again`,
    )
  }
}

function isUnchanged(folder: Stats, before: Stats): boolean {
  return folder.ino === before.ino && folder.mtimeMs === before.mtimeMs && folder.ctimeMs === before.ctimeMs
}
