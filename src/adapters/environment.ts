import { readFileSync } from 'node:fs'
import process from 'node:process'
import { type Config, parseConfig } from '../config/config.ts'
import { AppError } from '../errors.ts'
import { logs } from './logs.ts'
import { streamsByFiles } from './machine.ts'

/** Settings whose value may be in a file, named by the same setting with `_FILE` behind it. */
const FROM_FILES = ['LOG', 'AUTH_SECRET', 'AUTH_PUBLIC_KEY', 'API_KEYS'] as const

/** The settings of this process: its environment, what its files hold, and as many streams as it may have files open. */
export function readConfig(): Config {
  const env: Record<string, string | undefined> = { ...process.env }
  for (const name of FROM_FILES) {
    const file = env[`${name}_FILE`]
    if (!file) continue
    if (env[name]) throw new AppError('config_invalid', `Cannot start: ${name} and ${name}_FILE are both set; set one`)
    env[name] = contentOf(`${name}_FILE`, file)
    // Whoever names a file of keys does not mean a hub that is open.
    if (!env[name]) throw new AppError('config_invalid', `Cannot start: ${name}_FILE=${file} holds nothing`)
  }
  const config = parseConfig(env, logs)
  if (env.MAX_READERS) return config
  const maxReaders = Math.min(config.hub.maxReaders, streamsByFiles() ?? config.hub.maxReaders)
  return { ...config, hub: { ...config.hub, maxReaders } }
}

function contentOf(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^#.*$/gm, '').trim()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new AppError('config_invalid', `Cannot start: ${setting}=${file} cannot be read: ${why}`, { cause })
  }
}
