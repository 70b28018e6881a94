import { readFileSync, type Stats, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { AppError } from '../../errors.ts'

/** What belongs to a database: SQLite's log of changes and its index, our lock and our tip. */
const SUFFIXES = ['', '-wal', '-shm', '-lock', '-tip'] as const

const ONE_NAME = 'the lock is found by the name of the file, so a second process could write through the other name'

/**
 * Refuses a database that has a second name: a hard link, or a mount of the file itself. Its lock and its log of changes are found by
 * its name, so two processes with two names would both write it.
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

/** Whether a path is where something is mounted; only Linux mounts files. */
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

/** The files of an open database, as they are while it is open: each has the same inode for as long. */
export class OpenFiles {
  readonly #file: string
  readonly #opened: ReadonlyMap<string, Stats>
  /** The folder as it was at the last look. */
  #folder: Stats | undefined

  /** @param file the database, which is open and in WAL mode: all its files are there */
  constructor(file: string) {
    this.#file = file
    this.#opened = new Map(SUFFIXES.map((suffix) => [suffix, statSync(file + suffix)]))
  }

  /**
   * Only the folder is looked at, which changes when a name in it is made or deleted. To look at the files makes their next fsync 50 µs
   * slower (measured on Linux 6.18): a time that was seen may not be given again, so the next write is of the inode too.
   *
   * @throws AppError `log_unusable` if what is committed would be found by nobody who opens the database by its name
   */
  verify(): void {
    const folder = statSync(dirname(this.#file), { throwIfNoEntry: false })
    if (folder && this.#folder && isUnchanged(folder, this.#folder)) return
    for (const suffix of ['', '-wal']) this.#verify(suffix)
    this.#folder = folder
  }

  /** The same for all that belongs to it, and for a second name that it has got. @throws AppError `log_unusable` */
  verifyAll(): void {
    for (const suffix of SUFFIXES) this.#verify(suffix)
    refuseSecondName(this.#file)
  }

  #verify(suffix: string): void {
    const { dev, ino } = this.#opened.get(suffix)!
    const found = statSync(this.#file + suffix, { throwIfNoEntry: false })
    if (found?.ino === ino && found.dev === dev) return
    const what = found === undefined ? 'deleted' : 'replaced'
    const remedy = suffix === '' || suffix === '-wal' ? 'stop the hub, restore the database' : 'stop the hub'
    throw new AppError(
      'log_unusable',
      `Cannot use the log: ${basename(this.#file)}${suffix} was ${what} while the hub had it open; ${remedy}, and start it again`,
    )
  }
}

function isUnchanged(folder: Stats, before: Stats): boolean {
  return folder.ino === before.ino && folder.mtimeMs === before.mtimeMs && folder.ctimeMs === before.ctimeMs
}
