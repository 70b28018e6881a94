import { readFileSync, type Stats, statSync } from 'node:fs'
import { basename } from 'node:path'
import { AppError } from '../../errors.ts'

/** What belongs to a database: SQLite's log of changes and its index, our lock and our tip. */
const SUFFIXES = ['', '-wal', '-shm', '-lock', '-tip'] as const

const ONE_NAME = 'under another name a second process can write to it and neither sees the lock of the other'

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

  /** @param file the database, which is open and in WAL mode: all its files are there */
  constructor(file: string) {
    this.#file = file
    this.#opened = new Map(SUFFIXES.map((suffix) => [suffix, statSync(file + suffix)]))
  }

  /** @throws AppError `log_unusable` if what is committed would be found by nobody who opens the database by its name */
  verify(): void {
    for (const suffix of ['', '-wal']) this.#verify(suffix)
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
    throw new AppError(
      'log_unusable',
      `Cannot use the log: ${basename(this.#file)}${suffix} was ${what} while the hub had it open; stop the hub, restore the database, and start again`,
    )
  }
}
