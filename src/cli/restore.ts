import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pipeline } from 'node:stream/promises'
import { refuseForeignWal } from '../adapters/sqlite/foreign-wal.ts'
import { lock } from '../adapters/sqlite/lock.ts'
import { refuseSecondName } from '../adapters/sqlite/names.ts'
import { sizeOf } from '../adapters/sqlite/size.ts'
import type { Command } from './command.ts'
import { contentsOf, logOptions, pathOfLog } from './database.ts'
import { publishFile, syncFile } from './durable.ts'
import { EXIT, type ExitCode, Failure, misuse } from './failure.ts'
import type { Given } from './given.ts'
import { cleanlyInterrupted } from './interrupt.ts'
import { print } from './stdout.ts'
import { Progress, sizeText } from './terminal.ts'

/** The files of a log. The tip goes first: a database without it gets another epoch, whatever happens after. */
const SUFFIXES = ['-tip', '', '-wal', '-shm']

/** `tidings restore`: puts a backup in the place of a log. */
export const restore: Command = {
  usage: 'restore FILE [FLAG…]',
  about: `Puts a backup in the place of an SQLite log whose hub has stopped. The hub begins a new epoch then, and readers with later ids get a
hub.gap. The log that was there is kept beside it; the command prints where.`,
  options: logOptions,
  operands: [1, 1],
  examples: ['tidings restore backup.db', 'tidings restore backup.db --log sqlite:/var/lib/tidings.db'],
  run,
}

async function run(given: Given): Promise<ExitCode> {
  const [from, to] = [resolve(given.operands[0]!), resolve(pathOfLog(given))]
  if (from === to) throw misuse('Cannot restore a log from its own file: name a backup')
  if (sizeOf(`${from}-wal`) > 0)
    throw new Failure(`Cannot restore ${from}: a part of it is in ${from}-wal; use a file that tidings backup made`)
  contentsOf(from, true)
  mkdirSync(dirname(to), { recursive: true })
  if (existsSync(to)) refuseSecondName(to)
  const release = lock(to)
  try {
    const part = `${to}-part`
    const remove = () => rmSync(part, { force: true })
    await cleanlyInterrupted(() => copy(from, part), remove).catch((cause) => {
      remove()
      throw new Failure(`Cannot copy ${from} to ${part}: ${cause.message}`, EXIT.failed, { cause })
    })
    const kept = keep(to)
    publishFile(part, to)
    if (kept) await print(`${kept}\n`)
  } finally {
    release()
  }
  return EXIT.ok
}

async function copy(from: string, to: string): Promise<void> {
  const size = statSync(from).size
  const progress = new Progress()
  let copied = 0
  const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      copied += chunk.byteLength
      progress.show(`Copied ${sizeText(copied)} of ${sizeText(size)}`)
      yield chunk
    }
  }
  const file = createWriteStream(to, { mode: statSync(from).mode & 0o777 })
  await pipeline(createReadStream(from), counted, file).finally(() => progress.clear())
  await syncFile(to)
}

/** Renames a log with all its files, or what is left of them. @returns the new path of the first one; undefined if there is nothing */
function keep(file: string): string | undefined {
  if (existsSync(file)) emptyWal(file)
  const left = SUFFIXES.filter((suffix) => existsSync(file + suffix))
  if (left.length === 0) return
  const kept = `${file}.replaced-${new Date().toISOString().replace(/[:.]/g, '-')}`
  for (const suffix of left) renameSync(file + suffix, kept + suffix)
  return kept + (left.includes('') ? '' : left[0])
}

/** Closing the last connection copies the WAL into the database, so that renaming moves one file. */
function emptyWal(file: string): void {
  try {
    refuseForeignWal(file)
    const database = new DatabaseSync(file)
    database.exec('SELECT count(*) FROM sqlite_schema')
    database.close()
  } catch {
    // A damaged log, or one with the WAL of another, is a reason to restore. Its files keep their names beside each other.
  }
}
