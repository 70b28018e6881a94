import { createClient } from '@redis/client'
import { AppError } from '../errors.ts'
import type { Log, LogOptions } from '../log/log.ts'
import type { Redis } from '../log/redis/engine.ts'
import { redisLog } from '../log/redis/redis.ts'

/** A server that says nothing for so long is given up, and connected to again: the tail asks every second, and so do we. */
const SILENCE_MS = 4000
const PING_MS = 1000
const CONNECT_MS = 3000
/** So long it may take until the first connection is there: who starts both at once need not wait. */
const START_MS = 5000
/** Between attempts to connect: from and to, and half of it by chance. */
const RETRY_MS = { least: 100, most: 2000 }

/**
 * Opens the log of the hub that a URL names: `redis://user:password@host:port/hub`, `rediss://` for TLS.
 *
 * @throws AppError `log_unusable`: it cannot be reached, or may not be used
 */
export async function openRedis(url: string, options: Partial<LogOptions> = {}): Promise<Log> {
  const { server, name } = placeOf(url)
  const redis = await connect(server).catch((cause) => {
    throw new AppError('log_unusable', `Cannot reach the log at ${shown(url)}: ${reasonOf(cause)}`, { cause })
  })
  try {
    return await redisLog(redis, { ...options, ...(name !== '' && { name }) })
  } catch (cause) {
    await redis.close()
    if (cause instanceof AppError && cause.code !== 'log_unavailable') throw cause
    throw new AppError('log_unusable', `Cannot use the log at ${shown(url)}: ${reasonOf(cause)}`, { cause })
  }
}

/** As people may see it: without its password. */
function shown(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

/** @throws AppError `config_invalid`, which shows nothing of it: it may hold a password */
function placeOf(url: string): { server: string; name: string } {
  if (!URL.canParse(url) || new URL(url).hash !== '' || new URL(url).search !== '')
    throw new AppError(
      'config_invalid',
      'Cannot read LOG: in a URL, write # ? / @ and : of a password as %23 %3F %2F %40 and %3A',
    )
  const place = new URL(url)
  const name = decodeURIComponent(place.pathname.slice(1))
  place.pathname = ''
  return { server: place.href, name }
}

/** Two connections: one that all share, and one for the command that waits. @throws what the last attempt was refused with */
async function connect(url: string): Promise<Redis> {
  const options = {
    url,
    RESP: 2 as const,
    disableOfflineQueue: true,
    disableClientInfo: true, // one command less to be allowed
    maintNotifications: 'disabled' as const,
    socket: {
      connectTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      reconnectStrategy: (tries: number) =>
        Math.min(RETRY_MS.most, RETRY_MS.least * 2 ** Math.min(tries, 10)) * (0.5 + Math.random() / 2),
    },
  }
  const shared = createClient({ ...options, pingInterval: PING_MS })
  const waiting = createClient(options)
  let last: unknown
  // It is told where it matters: whoever asks meanwhile is refused, and /ready says why.
  for (const client of [shared, waiting]) client.on('error', (error) => (last = error))
  const first = Promise.all([shared.connect(), waiting.connect()])
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(last ?? new Error('it does not answer')), START_MS)
  })
  try {
    await Promise.race([first, late])
  } catch (cause) {
    for (const client of [shared, waiting]) client.destroy()
    throw cause
  } finally {
    clearTimeout(timer)
  }
  return {
    get isConnected() {
      return shared.isReady
    },
    send: (command) => shared.sendCommand([...command]),
    wait: (command) => waiting.sendCommand([...command]),
    onConnected: (listener) => void shared.on('ready', listener),
    async close() {
      for (const client of [shared, waiting]) client.destroy()
    },
  }
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof AppError ? cause.cause : cause
  const of = inner instanceof AggregateError ? inner.errors[0] : inner
  return of instanceof Error ? of.message : String(of)
}
