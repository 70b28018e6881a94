import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { reasonOf } from '../errors.ts'
import type { Options } from './command.ts'
import { Failure, misuse } from './failure.ts'
import type { Given } from './given.ts'
import { configOption, readSettings, settingOptions } from './settings.ts'

/** The flags of commands that work on the file of an SQLite log. */
export const logOptions: Options = { ...settingOptions(['LOG', 'LOG_FILE']), ...configOption }

/** The path of the SQLite log that the settings name. @throws Failure usage */
export function pathOfLog(given: Given): string {
  const { log } = readSettings(given)
  const [, path] = /^sqlite:(.*)$/.exec(log) ?? []
  if (path === undefined)
    throw misuse('Cannot do this with LOG: only an SQLite log is a file; for Redis, use the backups of its server')
  return path
}

/** What a log's database says about itself. */
export interface Contents {
  readonly epoch: string
  readonly head: number
  readonly count: number
}

/**
 * Reads what a database contains, and changes nothing.
 *
 * @param isWhole whether to check every page, which takes as long as reading the file
 * @throws Failure if it is not the database of a log, or damaged
 */
export function contentsOf(path: string, isWhole: boolean): Contents {
  if (!existsSync(path)) throw new Failure(`Cannot read ${path}: no such file`)
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(pathToFileURL(path), { readOnly: true })
    const row = database.prepare('SELECT epoch, head, count FROM state').get() as unknown as Contents
    const check = isWhole ? Object.values(database.prepare('PRAGMA quick_check(1)').get()!)[0] : 'ok'
    if (check !== 'ok') throw new Error(`${check}`)
    return row
  } catch (cause) {
    throw new Failure(`Cannot read ${path}: it is not a whole database of a hub (${reasonOf(cause)})`, undefined, {
      cause,
    })
  } finally {
    database?.close()
  }
}
