import process from 'node:process'
import { styleText } from 'node:util'
import { isClosed } from '../auth/options.ts'
import type { Config } from '../config/config.ts'
import { settings } from '../config/settings.ts'
import { AppError } from '../errors.ts'
import { store } from '../store.ts'
import { readConfig } from './environment.ts'

/** Longest wait for streams to end and requests to be answered before connections are cut. */
export const DRAIN_MS = 5000

/** A server that listens. */
export interface Running {
  /** Where, as a person would type it. */
  readonly url: string
  /** Drains and closes: no new streams, last frames and a spread `retry:` to the open ones, the log last. About `DRAIN_MS` at most. */
  stop(): Promise<void>
}

/** Runs a server as a program: settings from the environment, what it does in one line, SIGINT and SIGTERM to stop it. */
export async function run(serve: (config: Config) => Promise<Running>): Promise<void> {
  try {
    if (process.argv.includes('--help') || process.argv.includes('-h')) return console.log(help())
    const config = readConfig()
    const running = await serve(config)
    stopOnSignals(running) // before the line below: whoever reads it may stop us at once
    if (config.open)
      console.warn(styleText('red', 'OPEN=true: whoever reaches this hub may read, write and delete everything in it'))
    const reach = isClosed(config.auth)
      ? 'closed: who wants in needs a token or a key'
      : config.open
        ? 'open to everybody who can reach it'
        : 'open to this machine only'
    console.log(
      `Tidings listens on ${running.url} (${reach}); log ${withoutPassword(config.log)}, durability ${await store.durability()}`,
    )
  } catch (error) {
    console.error(error instanceof AppError ? error.message : error)
    process.exit(1)
  }
}

/** The error of an address that cannot be listened on; closes the store, so that the process can end. */
export async function cannotListen({ host, port }: Config, cause: unknown): Promise<AppError> {
  await store.close()
  const why = cause instanceof Error ? cause.message : String(cause)
  return new AppError(
    'config_invalid',
    `Cannot listen on ${host} port ${port}: ${why}; name others with HOST and PORT`,
    { cause },
  )
}

function withoutPassword(log: string): string {
  return log.replace(/\/\/.*@/, '//')
}

/** The URL of a host and a port: loopback by the name that people use. */
export function urlOf(host: string, port: number): string {
  const name = host === '127.0.0.1' || host === '::1' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}

function stopOnSignals(running: Running): void {
  let stopping = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, async () => {
      if (stopping) process.exit(1) // asked twice: now
      stopping = true
      console.log(`${signal}: draining ${store.readers} streams`)
      await running.stop()
      process.exit(0)
    })
}

function help(): string {
  const rows = Object.entries(settings).map(
    ([name, { says, initial }]) => `  ${name.padEnd(24)}${initial.padEnd(26)}${says}`,
  )
  return `Tidings, a Server-Sent Events hub. Settings are environment variables:\n\n${rows.join('\n')}\n\nLOG_FILE, AUTH_SECRET_FILE, AUTH_PUBLIC_KEY_FILE and API_KEYS_FILE name files that hold these; SIGHUP reads the keys anew.\n`
}
