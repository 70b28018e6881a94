import { createApp } from '../app.ts'
import type { Config } from '../config/config.ts'
import { type Connection, envOf } from '../routes/connection.ts'
import { store } from '../store.ts'
import { answerPulled } from './carrier.ts'
import { readFile } from './files.ts'
import { openAuth } from './keys.ts'
import { eventLines, writeLine } from './log-lines.ts'
import { openLog } from './logs.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'
import { Sweeps } from './sweeps.ts'

/** The part of Bun's server that we use. */
interface BunServer {
  readonly port: number
  /** Sets the idle timeout of a request's connection, in seconds; 0 disables it. */
  timeout(request: Request, seconds: number): void
  requestIP(request: Request): { readonly address: string } | null
  stop(closeActiveConnections?: boolean): Promise<void>
}

declare const Bun: {
  serve(options: {
    hostname: string
    port: number
    idleTimeout: number
    fetch(request: Request, server: BunServer): Response | Promise<Response>
  }): BunServer
}

/** Seconds after which Bun closes a connection without a whole request: the first one is late, or the body of another was too slow. */
const UNFINISHED_S = 10
/** The longest idle timeout that Bun has, in seconds. */
const MAX_IDLE_S = 255

/**
 * Serves the store of this process over HTTP on Bun until `stop`.
 *
 * @throws AppError `log_unusable`, `log_locked`, `config_invalid` (the address cannot be listened on)
 * @example
 * import process from 'node:process'
 * import { parseConfig } from 'tidings'
 * import { serve } from 'tidings/bun'
 * const { url, stop } = await serve(parseConfig(process.env))
 * console.log(`The hub listens on ${url}`)
 * process.once('SIGTERM', stop)
 */
export async function serve(config: Config): Promise<Running> {
  await store.use(await openLog(config), { ...config.hub, events: eventLines(config.requestLog) })
  const app = createApp({ hub: store, config, auth: await openAuth(config, store), files: readFile, writeLine })
  const isNative = config.carrier === 'native'
  const idleS = Math.min(MAX_IDLE_S, Math.ceil(config.keepAliveMs / 1000))
  const sweeps = new Sweeps()
  const server = await listen(config, async (request, bun) => {
    const absolute = withOrigin(request, urlOf(config.host, bun.port))
    if (!absolute) return new Response(null, { status: 400 })
    const address = bun.requestIP(request)?.address
    bun.timeout(request, idleS) // also after the response, until the connection's next request
    let isIdleAllowed = false
    const connection: Connection = {
      ...(address && { address }),
      disableIdleTimeout() {
        isIdleAllowed = true
        bun.timeout(request, 0)
      },
      destroy: () => bun.timeout(request, sweeps.nextTimeout(performance.now())),
    }
    const response = await (isNative
      ? answerPulled(absolute, connection, (env) => app.fetch(absolute, env))
      : app.fetch(absolute, envOf(connection)))
    // Without a timeout, the connection of a stream that has ended would stay open for as long as its client likes.
    if (isIdleAllowed && response.headers.get('content-type')?.startsWith('text/event-stream'))
      response.headers.set('connection', 'close')
    else if (response.status === 408) bun.timeout(request, UNFINISHED_S)
    else if (isIdleAllowed) bun.timeout(request, idleS)
    return response
  })
  return { url: urlOf(config.host, server.port), stop: () => stop(server) }
}

/**
 * Returns the request with an absolute URL; undefined if its Host is not valid. Without a valid Host, the URL that Bun gives is only a
 * path. HTTP/1.0 permits requests without a Host.
 */
function withOrigin(request: Request, origin: string): Request | undefined {
  if (!request.url.startsWith('/')) return request
  return request.headers.has('host') ? undefined : new Request(`${origin}${request.url}`, request)
}

async function listen(config: Config, fetch: (request: Request, server: BunServer) => Response | Promise<Response>) {
  try {
    return Bun.serve({ hostname: config.host, port: config.port, idleTimeout: UNFINISHED_S, fetch })
  } catch (cause) {
    throw await cannotListen(config, cause)
  }
}

async function stop(server: BunServer): Promise<void> {
  store.drain()
  const deadline = setTimeout(() => server.stop(true), DRAIN_MS)
  await server.stop()
  clearTimeout(deadline)
  await store.close()
}

if (import.meta.main) void run(serve)
