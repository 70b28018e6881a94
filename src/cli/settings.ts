import { readFileSync } from 'node:fs'
import process from 'node:process'
import { parseEnv } from 'node:util'
import { FROM_FILES, readConfig } from '../adapters/environment.ts'
import type { Config } from '../config/config.ts'
import { settings } from '../config/settings.ts'
import { AppError, quote } from '../errors.ts'
import { meantBy } from '../routes/names.ts'
import type { Options } from './command.ts'
import { EXIT, Failure, misuse } from './failure.ts'
import type { Given } from './given.ts'

// Settings come from flags, variables and a file. Flags win over variables, and variables over the file.

type Variables = Readonly<Record<string, string | undefined>>

const FILES: readonly string[] = FROM_FILES.map((name) => `${name}_FILE`)
const NAMES = [...Object.keys(settings), ...FILES]

export const configOption: Options = {
  config: { value: 'FILE', about: 'A file with lines NAME=value, as node --env-file and Docker read them' },
}

/** The flags of these settings: all, if none are named. A setting that is true or false is a switch. */
export function settingOptions(names: readonly string[] = NAMES): Options {
  return Object.fromEntries(names.map((name) => [flagOf(name), optionOf(name)]))
}

function optionOf(name: string): Options[string] {
  if (FILES.includes(name)) return { value: 'FILE', about: `A file to read ${name.replace(/_FILE$/, '')} from` }
  const { description, defaultText } = settings[name as keyof typeof settings]
  const about = `${description} (${defaultText})`
  return /^(true|false)$/.test(defaultText) ? { about } : { value: 'VALUE', about }
}

function flagOf(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}

/**
 * Reads the settings of this process. It leaves them in the environment, where the adapters read the keys again on SIGHUP.
 *
 * @throws Failure usage: lists every mistake
 */
export function readSettings(given: Given): Config {
  Object.assign(process.env, merged(given))
  try {
    return readConfig()
  } catch (cause) {
    if (cause instanceof AppError) throw new Failure(cause.message, EXIT.usage, { cause })
    throw cause
  }
}

/** Returns every setting as a variable. One that a lower layer gave under the other name (`X`, `X_FILE`) becomes empty, which is missing. */
function merged(given: Given): Variables {
  const file = given.value('config')
  const flags = [...given.flags].map(([flag, value]) => [flag.toUpperCase().replaceAll('-', '_'), value] as const)
  const layers: Variables[] = [
    file === undefined ? {} : fileOf(file),
    Object.fromEntries(NAMES.map((name) => [name, process.env[name]])),
    Object.fromEntries(flags.filter(([name]) => NAMES.includes(name))),
  ]
  const all: Record<string, string> = {}
  for (const layer of layers)
    for (const [name, value] of Object.entries(layer)) {
      if (!value) continue // an empty variable counts as missing
      all[name] = value
      if (FILES.includes(`${name}_FILE`) && !layer[`${name}_FILE`]) all[`${name}_FILE`] = ''
      if (FILES.includes(name) && !layer[name.replace(/_FILE$/, '')]) all[name.replace(/_FILE$/, '')] = ''
    }
  return all
}

/** @throws Failure usage: a file that cannot be read, a line that is not `NAME=value`, an unknown name with the nearest one */
function fileOf(path: string): Variables {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Failure(`Cannot read --config ${path}: ${(cause as NodeJS.ErrnoException).code}`, EXIT.usage, { cause })
  }
  refuseOtherLines(path, text)
  const found = parseEnv(text)
  for (const name of Object.keys(found)) {
    if (NAMES.includes(name)) continue
    const meant = meantBy(name, NAMES)
    throw misuse(`Cannot use ${quote(name)} in ${path}: expected ${meant ?? 'the name of a setting; see --help'}`)
  }
  return found
}

const COMMENT = /^[ \t]*#.*$/gm
const QUOTED = /(=[ \t]*)(["'`])[\s\S]*?\2/g
const LINE = /^\s*(export\s+)?[\w.-]+\s*=|^\s*$/

/** `parseEnv` skips a line without `=`, and so a setting that was written in another way. */
function refuseOtherLines(path: string, text: string): void {
  const breaks = (part: string) => part.replace(/[^\n]/g, '')
  const lines = text
    .replace(/^\ufeff/, '')
    .replace(COMMENT, '')
    .replace(QUOTED, (part, equals) => equals + breaks(part))
    .split('\n')
  // The line itself is not shown: it may be a secret.
  const at = lines.findIndex((line) => !LINE.test(line))
  if (at >= 0) throw misuse(`Cannot read line ${at + 1} of ${path}: expected NAME=value`)
}
