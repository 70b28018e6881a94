import { readFileSync } from 'node:fs'
import process from 'node:process'
import { type Config, parseConfig } from '../config/config.ts'
import { AppError, reasonOf } from '../errors.ts'
import { maxStreamsByFiles } from './limits.ts'
import { logs } from './logs.ts'

/** Settings that may also be read from a file. The variable with `_FILE` appended to its name gives the path. */
export const FROM_FILES = ['LOG', 'AUTH_SECRET', 'AUTH_PUBLIC_KEY', 'API_KEYS'] as const

/**
 * Reads the settings of this process from its environment, and from files that the environment names. Without `MAX_READERS`, the
 * open-files limit of the process also limits the streams.
 *
 * @throws AppError `config_invalid`
 */
export function readConfig(): Config {
  const env: Record<string, string | undefined> = { ...process.env }
  for (const name of FROM_FILES) {
    const file = env[`${name}_FILE`]
    if (!file) continue
    if (env[name]) throw new AppError('config_invalid', `Cannot start: ${name} and ${name}_FILE are both set; set one`)
    env[name] = contentOf(`${name}_FILE`, file)
    // An empty file of keys must not open the hub.
    if (!env[name]) throw new AppError('config_invalid', `Cannot start: ${name}_FILE=${file} is empty`)
  }
  const config = parseConfig(env, logs)
  if (env.MAX_READERS) return config
  const maxReaders = Math.min(config.hub.maxReaders, maxStreamsByFiles() ?? config.hub.maxReaders)
  return { ...config, hub: { ...config.hub, maxReaders } }
}

function contentOf(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^#.*$/gm, '').trim()
  } catch (cause) {
    throw new AppError('config_invalid', `Cannot start: ${setting}=${file} cannot be read: ${reasonOf(cause)}`, {
      cause,
    })
  }
}
