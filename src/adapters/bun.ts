import { createApp } from '../app.ts'
import type { Config } from '../config/config.ts'
import { type Connection, envOf } from '../routes/connection.ts'
import { store } from '../store.ts'
import { pulled } from './carrier.ts'
import { Cuts } from './cuts.ts'
import { readFile } from './files.ts'
import { openAuth } from './keys.ts'
import { openLog } from './logs.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'
import { eventLines, tell } from './tell.ts'

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

/**
 * Serves the store of this process over HTTP on Bun until `stop`.
 *
 * @throws AppError `log_unusable`, `log_locked`, `config_invalid` (the address cannot be listened on)
 */
export async function serve(config: Config): Promise<Running> {
  await store.use(await openLog(config), { ...config.hub, events: eventLines(config.requestLog) })
  const app = createApp({ hub: store, config, auth: await openAuth(config, store), files: readFile, tell })
  const isNative = config.carrier === 'native'
  const cuts = new Cuts()
  const server = await listen(config, (request, own) => {
    const address = own.requestIP(request)?.address
    const connection: Connection = {
      ...(address && { address }),
      // Bun ends a silent connection after 10 s. That is right for everything but a stream, which is silent by nature.
      disableIdleTimeout: () => own.timeout(request, 0),
      destroy: () => own.timeout(request, cuts.next(performance.now())),
    }
    return isNative
      ? pulled(request, connection, (env) => app.fetch(request, env))
      : app.fetch(request, envOf(connection))
  })
  return { url: urlOf(config.host, server.port), stop: () => stop(server) }
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
