import { createApp } from '../app.ts'
import type { Config } from '../config.ts'
import type { Connection } from '../routes/connection.ts'
import { store } from '../store.ts'
import { pulled } from './carrier.ts'
import { readFile } from './files.ts'
import { openAuth, openLog } from './open.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'
import { tell } from './tell.ts'

/** What we call of Bun's own server. */
interface BunServer {
  readonly port: number
  /** Seconds that a request's connection may be silent; 0 is for ever. */
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

const LOOK_S = 4
/** Whatever comes, nobody's connection is kept for longer. */
const LOOKS = 4
/** Connections that a look may close before its pause shows: 25 ms. */
const AT_ONCE = 1250

/**
 * Serves the store of this process over HTTP on Bun until `stop`.
 *
 * @throws AppError `log_unusable`, `log_locked`, `config_invalid` (the address cannot be listened on)
 */
export async function serve(config: Config): Promise<Running> {
  await store.use(await openLog(config), config.hub)
  const app = createApp({ hub: store, config, auth: await openAuth(config, store), files: readFile, tell })
  const isNative = config.carrier === 'native'
  const cuts = new Cuts()
  const server = await listen(config, (request, own) => {
    const address = own.requestIP(request)?.address
    const connection: Connection = {
      ...(address && { address }),
      // Bun ends a silent connection after 10 s. That is right for everything but a stream, which is silent by nature.
      keep: () => own.timeout(request, 0),
      cut: () => own.timeout(request, cuts.next()),
    }
    return isNative ? pulled(request, connection, (env) => app.fetch(request, env)) : app.fetch(request, connection)
  })
  return { url: urlOf(config.host, server.port), stop: () => stop(server) }
}

/**
 * Shares out connections that are cut among Bun's looks: it finds out every four seconds which have been silent for too long, and
 * closes all of them before it does anything else (measured: 5,000 that were full in 90 ms, for which everybody waits).
 */
class Cuts {
  #waiting = 0
  #at = 0

  /** The silence that is enough for the next one, in seconds; the longer, the more were cut lately. */
  next(): number {
    const now = performance.now() / 1000
    this.#waiting = Math.max(0, this.#waiting - ((now - this.#at) / LOOK_S) * AT_ONCE)
    this.#at = now
    return 1 + LOOK_S * Math.min(LOOKS - 1, Math.floor(this.#waiting++ / AT_ONCE))
  }
}

async function listen(config: Config, fetch: (request: Request, server: BunServer) => Response | Promise<Response>) {
  try {
    return Bun.serve({ hostname: config.host, port: config.port, idleTimeout: 10, fetch })
  } catch (cause) {
    throw await cannotListen(config, cause)
  }
}

async function stop(server: BunServer): Promise<void> {
  store.drain()
  const late = setTimeout(() => server.stop(true), DRAIN_MS)
  await server.stop()
  clearTimeout(late)
  await store.close()
}

if (import.meta.main) await run(serve)
