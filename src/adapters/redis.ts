import { createClient } from '@redis/client'
import { AppError, reasonOf } from '../errors.ts'
import type { Log, LogOptions } from '../log/log.ts'
import type { RedisClient } from '../log/redis/client.ts'
import { keyPrefix, redisLog } from '../log/redis/redis.ts'

/** A connection that is silent for this long is closed and opened again. Each has traffic every second: the tail's, or pings. */
const SILENCE_MS = 4000
const PING_MS = 1000
const CONNECT_MS = 3000
/** Longest wait for the first connection, so that the server may be started at the same time as the hub. */
const START_MS = 5000
/** A server that has not answered after this time is reported. */
const REPORT_MS = 500
const NO_ANSWER = 'the server does not answer'
/** Pauses between attempts to connect, from the first to the longest; up to half of each is random. */
const RETRY_MS = { first: 100, longest: 2000 }
/** Most redirections of a cluster that the start follows. */
const MAX_REDIRECTIONS = 5
/** Most nodes of a cluster that are remembered. */
const MAX_NODES = 5
/** How long a node may be away before another node is tried. */
const AWAY_MS = 500

type Client = ReturnType<typeof createClient>

const optionsOf = (url: string): Parameters<typeof createClient>[0] => ({
  url,
  RESP: 2,
  disableOfflineQueue: true,
  disableClientInfo: true, // one command less that the server has to permit
  maintNotifications: 'disabled',
  socket: {
    connectTimeout: CONNECT_MS,
    socketTimeout: SILENCE_MS,
    reconnectStrategy: (tries: number) =>
      Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** Math.min(tries, 10)) * (0.5 + Math.random() / 2),
  },
})

/**
 * Opens the log of the hub that a URL names: `redis://user:password@host:port/hub`, `rediss://` for TLS.
 *
 * @throws AppError `log_unusable`: the server cannot be reached, or does not permit what the log needs
 * @example
 * const shared = new Hub(() => openRedis('rediss://user:password@redis.example:6379/hub'))
 */
export async function openRedis(url: string, options: Partial<LogOptions> = {}): Promise<Log> {
  const { server, name } = parseUrl(url)
  const failure = (cause: unknown) => `Cannot reach the log at ${withoutCredentials(url)}: ${reasonOf(rootOf(cause))}`
  let lastError: unknown = new Error(NO_ANSWER)
  const report = setTimeout(() => {
    options.warn?.(`${failure(lastError)}; trying again for ${START_MS / 1000} s`)
  }, REPORT_MS)
  const redis = await connect(server, `${keyPrefix(name)}:meta`, (error) => {
    lastError = error
  })
    .catch((cause) => {
      throw new AppError('log_unusable', failure(cause), { cause })
    })
    .finally(() => clearTimeout(report))
  try {
    return await redisLog(redis, { ...options, name })
  } catch (cause) {
    await redis.close()
    if (cause instanceof AppError && cause.code !== 'log_unavailable') throw cause
    throw new AppError('log_unusable', `Cannot use the log at ${withoutCredentials(url)}: ${reasonOf(rootOf(cause))}`, {
      cause,
    })
  }
}

/** The URL as people may see it. */
function withoutCredentials(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

/** @throws AppError `config_invalid`, which does not show the URL: it may hold a password */
function parseUrl(url: string): { server: string; name: string } {
  if (!URL.canParse(url) || new URL(url).hash !== '' || new URL(url).search !== '')
    throw new AppError(
      'config_invalid',
      'Cannot read LOG: in a URL, write # ? / @ and : of a password as %23 %3F %2F %40 and %3A',
    )
  const server = new URL(url)
  const name = decodeURIComponent(server.pathname.slice(1)) || 'tidings'
  server.pathname = ''
  return { server: server.href, name }
}

/** The connections to one server: one for all commands, and one for the command that blocks. */
class Pair {
  readonly shared: Client
  readonly blocking: Client
  /** The last error of either. */
  error: unknown

  constructor(url: string, onError?: (error: unknown) => void) {
    this.shared = createClient({ ...optionsOf(url), pingInterval: PING_MS })
    this.blocking = createClient(optionsOf(url))
    // Not reported here: commands are refused meanwhile, and /ready says why.
    for (const client of [this.shared, this.blocking])
      client.on('error', (error) => {
        this.error = error
        onError?.(error)
      })
  }

  /** Connects, and keeps reconnecting until `destroy`. */
  async connect(): Promise<void> {
    await Promise.all([this.shared.connect(), this.blocking.connect()])
  }

  destroy(): void {
    for (const client of [this.shared, this.blocking]) client.destroy()
  }
}

/**
 * Connects to the server that has a key. In a cluster, any node names the node that has the key, at the start and whenever the key moves.
 * If a node is away, the other known nodes are tried
 * (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding).
 *
 * @param onError called with each error of the first connections
 * @throws the error of the last attempt
 */
async function connect(url: string, key: string, onError: (error: unknown) => void): Promise<RedisClient> {
  const nodes = new Set([url])
  const listeners: (() => void)[] = []
  let isClosed = false
  let node = url
  let pair = await openPair(node, onError)
  for (let i = 0; i < MAX_REDIRECTIONS; i++) {
    const address = await pair.shared.sendCommand(['HGET', key, 'epoch']).then(() => undefined, movedTo)
    if (address === undefined) break
    pair.destroy()
    node = withAddress(url, address)
    nodes.add(node)
    pair = await openPair(node, onError)
  }
  watch()

  function watch(): void {
    const { shared } = pair
    for (const listener of listeners) shared.on('ready', listener)
    shared.on('error', () => {
      if (nodes.size === 1) return
      const all = [...nodes]
      const other = all[(all.indexOf(node) + 1) % all.length]!
      setTimeout(() => pair.shared === shared && !shared.isReady && move(other), AWAY_MS)
    })
  }

  function move(to: string): void {
    if (isClosed || to === node) return
    pair.destroy()
    nodes.delete(to)
    nodes.add(to) // the most recent one last
    for (const other of nodes) if (nodes.size > MAX_NODES && other !== url) nodes.delete(other)
    node = to
    pair = new Pair(node)
    watch()
    pair.connect().catch(() => {}) // the client retries, or the next error moves on
  }

  /** Moves to the node that a refused command names; the command itself stays refused. */
  async function followMoves<T>(reply: Promise<T>): Promise<T> {
    try {
      return await reply
    } catch (error) {
      const address = movedTo(error)
      if (address !== undefined) move(withAddress(url, address))
      throw error
    }
  }

  return {
    get isConnected() {
      return pair.shared.isReady
    },
    send: (command) => followMoves(pair.shared.sendCommand([...command])),
    wait: (command) => followMoves(pair.blocking.sendCommand([...command])),
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

/** @throws the error of the last attempt, after `START_MS` */
async function openPair(url: string, onError: (error: unknown) => void): Promise<Pair> {
  const pair = new Pair(url, onError)
  let timer: ReturnType<typeof setTimeout> | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(pair.error ?? new Error(NO_ANSWER)), START_MS)
  })
  try {
    await Promise.race([pair.connect(), deadline])
    return pair
  } catch (cause) {
    pair.destroy()
    throw cause
  } finally {
    clearTimeout(timer)
  }
}

/** Returns the node that has the key, as host and port, from the error of a cluster. An empty host means the same host. */
function movedTo(error: unknown): string | undefined {
  return error instanceof Error ? /^MOVED \d+ (\S*:\d+)/.exec(error.message)?.[1] : undefined
}

/** The URL with the host and port of another node. */
function withAddress(url: string, address: string): string {
  const other = new URL(url)
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon)
  if (host !== '') other.hostname = host.includes(':') ? `[${host}]` : host
  other.port = address.slice(colon + 1)
  return other.href
}

/** The error of the server, or of the first of its addresses. */
function rootOf(cause: unknown): unknown {
  const inner = cause instanceof AppError ? cause.cause : cause
  return inner instanceof AggregateError ? inner.errors[0] : inner
}
