import process from 'node:process'
import { styleText } from 'node:util'
import { hasKeys } from '../auth/options.ts'
import type { Config } from '../config/config.ts'
import { settings } from '../config/settings.ts'
import { AppError, reasonOf } from '../errors.ts'
import { store } from '../store.ts'
import { exit, replaceConsole } from './console.ts'
import { readConfig } from './environment.ts'

/** Longest wait for streams to end and requests to be answered, before connections are closed. */
export const DRAIN_MS = 5000
/** A second signal within this time is ignored: Ctrl-C reaches the hub from the terminal, and again from `npm start`. */
const SAME_SIGNAL_MS = 500

/** A server that listens. */
export interface Running {
  /** Its address, as a person would type it. */
  readonly url: string
  /**
   * Drains and closes: refuses new streams, ends the open ones with their last frames and a spread `retry:`, and closes the log last.
   * Takes about `DRAIN_MS` at most.
   */
  stop(): Promise<void>
}

/** Runs a server as a program: reads settings from the environment, prints a line with the URL, and stops on SIGINT and SIGTERM. */
export async function run(serve: (config: Config) => Promise<Running>): Promise<void> {
  replaceConsole()
  try {
    if (process.argv.includes('--help') || process.argv.includes('-h')) {
      console.log(help())
      return exit(0)
    }
    const config = readConfig()
    const running = await serve(config)
    stopOnSignals(running) // before the line below, whose reader may stop us at once
    if (config.open)
      console.warn(
        styleText('red', 'OPEN=true: everybody who can reach this hub may read, write and delete everything in it'),
      )
    console.log(
      `Tidings listens on ${running.url} (${accessOf(config)}); log ${withoutPassword(config.log)}, durability ${await store.durability()}`,
    )
  } catch (error) {
    console.error(error instanceof AppError ? error.message : error)
    await exit(1)
  }
}

/** The error for an address that cannot be listened on; closes the store, so that the process can end. */
export async function cannotListen({ host, port }: Config, cause: unknown): Promise<AppError> {
  await store.close()
  return new AppError(
    'config_invalid',
    `Cannot listen on ${host} port ${port}: ${reasonOf(cause)}; name others with HOST and PORT`,
    { cause },
  )
}

function accessOf({ auth, open }: Config): string {
  if (hasKeys(auth)) return 'closed: requires a token or an API key'
  return open ? 'open to everybody who can reach it' : 'open to this machine only'
}

function withoutPassword(log: string): string {
  return log.replace(/\/\/.*@/, '//')
}

/** The URL of a host and a port. `localhost` stands for 127.0.0.1 only: not every program tries ::1 under that name. */
export function urlOf(host: string, port: number): string {
  const name = host === '127.0.0.1' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}

function stopOnSignals(running: Running): void {
  let stoppingSince: number | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, async () => {
      const now = performance.now()
      if (stoppingSince !== undefined) {
        if (now - stoppingSince > SAME_SIGNAL_MS) process.exit(1) // a second signal does not wait
        return
      }
      stoppingSince = now
      console.log(`${signal}: draining ${store.readers} streams`)
      await running.stop()
      await exit(0)
    })
}

function help(): string {
  const width = 2 + Math.max(...Object.keys(settings).map(({ length }) => length))
  const rows = Object.entries(settings).map(
    ([name, { description, defaultText }]) => `  ${name.padEnd(width)}${defaultText.padEnd(26)}${description}`,
  )
  return `Tidings, a Server-Sent Events hub. Settings are environment variables:\n\n${rows.join('\n')}\n\nLOG_FILE, AUTH_SECRET_FILE, AUTH_PUBLIC_KEY_FILE and API_KEYS_FILE name files to read these settings from; SIGHUP reads the keys again.\n`
}
