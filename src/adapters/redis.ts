import { createClient } from '@redis/client'
import { AppError } from '../errors.ts'
import type { Log, LogOptions } from '../log/log.ts'
import type { RedisClient } from '../log/redis/client.ts'
import { keyPrefix, redisLog } from '../log/redis/redis.ts'

/** A server that says nothing for so long is given up, and connected to again: the tail asks every second, and so do we. */
const SILENCE_MS = 4000
const PING_MS = 1000
const CONNECT_MS = 3000
/** So long it may take until the first connection is there: who starts both at once need not wait. */
const START_MS = 5000
/** Between attempts to connect: from and to, and half of it by chance. */
const RETRY_MS = { least: 100, most: 2000 }
/** How often a cluster may send us on before we have begun, how many of its nodes are remembered, and after how long one that is gone is left. */
const MAX_HOPS = 5
const MAX_KNOWN = 5
const AWAY_MS = 500

type Client = ReturnType<typeof createClient>

const optionsOf = (url: string): Parameters<typeof createClient>[0] => ({
  url,
  RESP: 2,
  disableOfflineQueue: true,
  disableClientInfo: true, // one command less to be allowed
  maintNotifications: 'disabled',
  socket: {
    connectTimeout: CONNECT_MS,
    socketTimeout: SILENCE_MS,
    reconnectStrategy: (tries: number) =>
      Math.min(RETRY_MS.most, RETRY_MS.least * 2 ** Math.min(tries, 10)) * (0.5 + Math.random() / 2),
  },
})

/**
 * Opens the log of the hub that a URL names: `redis://user:password@host:port/hub`, `rediss://` for TLS.
 *
 * @throws AppError `log_unusable`: it cannot be reached, or may not be used
 */
export async function openRedis(url: string, options: Partial<LogOptions> = {}): Promise<Log> {
  const { server, name } = placeOf(url)
  const redis = await connect(server, `${keyPrefix(name)}:meta`).catch((cause) => {
    throw new AppError('log_unusable', `Cannot reach the log at ${shown(url)}: ${reasonOf(cause)}`, { cause })
  })
  try {
    return await redisLog(redis, { ...options, name })
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
  const name = decodeURIComponent(place.pathname.slice(1)) || 'tidings'
  place.pathname = ''
  return { server: place.href, name }
}

/** The connections to one server: one that all share, and one for the command that waits. */
class Pair {
  readonly shared: Client
  readonly waiting: Client
  /** What went wrong last. */
  error: unknown

  constructor(url: string) {
    this.shared = createClient({ ...optionsOf(url), pingInterval: PING_MS })
    this.waiting = createClient(optionsOf(url))
    // It is told where it matters: whoever asks meanwhile is refused, and /ready says why.
    for (const client of [this.shared, this.waiting])
      client.on('error', (error) => {
        this.error = error
      })
  }

  /** Connects, and from then on again and again. */
  async connect(): Promise<void> {
    await Promise.all([this.shared.connect(), this.waiting.connect()])
  }

  destroy(): void {
    for (const client of [this.shared, this.waiting]) client.destroy()
  }
}

/**
 * Connects to the server that has a key. In a cluster any node says where that is, now and whenever it moves; one that is gone is left
 * for the others that are known (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding).
 *
 * @throws what the last attempt was refused with
 */
async function connect(url: string, key: string): Promise<RedisClient> {
  const known = new Set([url])
  const listeners: (() => void)[] = []
  let isClosed = false
  let here = url
  let pair = await opened(here)
  for (let hops = 0; hops < MAX_HOPS; hops++) {
    const to = await pair.shared.sendCommand(['HGET', key, 'epoch']).then(() => undefined, movedTo)
    if (to === undefined) break
    pair.destroy()
    here = addressed(url, to)
    known.add(here)
    pair = await opened(here)
  }
  watch()

  function watch(): void {
    const { shared } = pair
    for (const listener of listeners) shared.on('ready', listener)
    shared.on('error', () => {
      if (known.size === 1) return
      const all = [...known]
      const other = all[(all.indexOf(here) + 1) % all.length]!
      setTimeout(() => pair.shared === shared && !shared.isReady && move(other), AWAY_MS)
    })
  }

  function move(to: string): void {
    if (isClosed || to === here) return
    pair.destroy()
    known.delete(to)
    known.add(to)
    for (const other of known) if (known.size > MAX_KNOWN && other !== url) known.delete(other)
    here = to
    pair = new Pair(here)
    watch()
    pair.connect().catch(() => {}) // it is tried again, or moved on from
  }

  async function followed<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      const to = movedTo(error)
      if (to !== undefined) move(addressed(url, to))
      throw error
    }
  }

  return {
    get isConnected() {
      return pair.shared.isReady
    },
    send: (command) => followed(pair.shared.sendCommand([...command])),
    wait: (command) => followed(pair.waiting.sendCommand([...command])),
    onConnected(listener) {
      listeners.push(listener)
      pair.shared.on('ready', listener)
    },
    async close() {
      isClosed = true
      pair.destroy()
    },
  }
}

/** @throws what the last attempt was refused with, when the time is over */
async function opened(url: string): Promise<Pair> {
  const pair = new Pair(url)
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(pair.error ?? new Error('it does not answer')), START_MS)
  })
  try {
    await Promise.race([pair.connect(), late])
    return pair
  } catch (cause) {
    pair.destroy()
    throw cause
  } finally {
    clearTimeout(timer)
  }
}

/** Where a cluster's node says that a key is: host and port, the former missing where it is the same. */
function movedTo(error: unknown): string | undefined {
  return error instanceof Error ? /^MOVED \d+ (\S*:\d+)/.exec(error.message)?.[1] : undefined
}

/** The URL of another node: all else is the same. */
function addressed(url: string, to: string): string {
  const other = new URL(url)
  const cut = to.lastIndexOf(':')
  const host = to.slice(0, cut)
  if (host !== '') other.hostname = host.includes(':') ? `[${host}]` : host
  other.port = to.slice(cut + 1)
  return other.href
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof AppError ? cause.cause : cause
  const of = inner instanceof AggregateError ? inner.errors[0] : inner
  return of instanceof Error ? of.message : String(of)
}
