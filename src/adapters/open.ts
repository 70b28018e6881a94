import { readFileSync } from 'node:fs'
import process from 'node:process'
import { Auth } from '../auth/auth.ts'
import { type Config, parseConfig } from '../config/config.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { Log } from '../log/log.ts'
import { memoryLog } from '../log/memory.ts'
import { streamsByFiles } from './machine.ts'
import { openSqlite } from './sqlite.ts'
import { warn } from './tell.ts'

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
  const config = parseConfig(env)
  if (env.MAX_READERS) return config
  const maxReaders = Math.min(config.hub.maxReaders, streamsByFiles() ?? config.hub.maxReaders)
  return { ...config, hub: { ...config.hub, maxReaders } }
}

/** Opens the log that `LOG` names. @throws AppError `log_unusable`, `log_locked` */
export async function openLog({ log, logOptions }: Config): Promise<Log> {
  const options = { ...logOptions, warn }
  if (log === 'memory:') return memoryLog(options)
  if (log.startsWith('sqlite:')) return openSqlite(log.slice('sqlite:'.length), options)
  const { openRedis } = await import('./redis.ts') // its client is loaded by those who use it
  return openRedis(log, options)
}

/** Who may do what, once its keys can be used; on SIGHUP the files of keys are read at once, and else now and then. */
export async function openAuth({ auth }: Config, hub: Hub): Promise<Auth> {
  const opened = new Auth(hub, auth, () => readConfig().auth)
  await opened.check()
  process.on('SIGHUP', () => {
    opened.reload().then(
      () => console.log('SIGHUP: keys are read anew'),
      (error) => console.error(`SIGHUP: keys stay as they were: ${error instanceof AppError ? error.message : error}`),
    )
  })
  return opened
}

function contentOf(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^#.*$/gm, '').trim()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new AppError('config_invalid', `Cannot start: ${setting}=${file} cannot be read: ${why}`, { cause })
  }
}
