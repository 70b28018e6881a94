import { chmodSync, closeSync, existsSync, openSync, rmSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { sizeOf } from '../adapters/sqlite/size.ts'
import { reasonOf } from '../errors.ts'
import type { Command } from './command.ts'
import { contentsOf, logOptions, pathOfLog } from './database.ts'
import { publishFile, syncFile } from './durable.ts'
import { EXIT, type ExitCode, Failure, misuse } from './failure.ts'
import type { Given } from './given.ts'
import { cleanlyInterrupted } from './interrupt.ts'
import { print } from './stdout.ts'
import { Progress, sizeText } from './terminal.ts'
import { vacuumInto } from './vacuum.ts'

const PROGRESS_MS = 200

/** `tidings backup`: copies an SQLite log while its hub runs. */
export const backup: Command = {
  usage: 'backup FILE [FLAG…]',
  about: `Copies an SQLite log as it is at one moment into a new file, while its hub runs, and prints the newest id in it. FILE appears only
once it is whole and on the disk. Deleted events are in it if they were deleted after it began.`,
  options: { force: { about: 'Replace FILE if it exists' }, ...logOptions },
  operands: [1, 1],
  examples: [
    'tidings backup backup.db',
    'tidings backup --log sqlite:/var/lib/tidings.db "/backups/$(date +%F).db"',
    'tidings backup backup.db --force',
  ],
  run,
}

async function run(given: Given): Promise<ExitCode> {
  const [from, to] = [resolve(pathOfLog(given)), resolve(given.operands[0]!)]
  if (from === to) throw misuse('Cannot back up a log to its own file: name another')
  if (existsSync(to) && !given.isOn('force')) throw new Failure(`Cannot write ${to}: it exists; --force replaces it`)
  contentsOf(from, false)
  const part = `${to}-part`
  const remove = () => rmSync(part, { force: true })
  remove() // left over by a process that was killed
  const progress = new Progress()
  const { size, mode } = statSync(from)
  const show = () => progress.show(`Copied ${sizeText(sizeOf(part))} of ${sizeText(size)}`)
  show()
  const timer = setInterval(show, PROGRESS_MS)
  const copy = async () => {
    createLike(mode, part)
    await vacuumInto({ from, to: part })
    await syncFile(part)
  }
  try {
    await cleanlyInterrupted(copy, remove)
    publishFile(part, to)
  } catch (cause) {
    remove()
    throw new Failure(`Cannot back up ${from} to ${to}: ${reasonOf(cause)}`, EXIT.failed, { cause })
  } finally {
    clearInterval(timer)
    progress.clear()
  }
  const { epoch, head } = contentsOf(to, false)
  await print(`${epoch}-${head}\n`)
  return EXIT.ok
}

/** Creates an empty file with the mode of the log: who may not read the log may not read its copy, not even while it is written. */
function createLike(mode: number, path: string): void {
  closeSync(openSync(path, 'wx', mode & 0o777)) // Deno's writeFileSync would set the mode only afterwards
  chmodSync(path, mode & 0o777) // the umask has no say
}
