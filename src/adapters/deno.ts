import { createApp } from '../app.ts'
import type { Config } from '../config/config.ts'
import { type Connection, envOf } from '../routes/connection.ts'
import { store } from '../store.ts'
import { pulled } from './carrier.ts'
import { closedPeers } from './closed-peers.ts'
import { readFile } from './files.ts'
import { shortOf } from './machine.ts'
import { openAuth, openLog } from './open.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'
import { eventLines, tell } from './tell.ts'

/** What we call of Deno's own server. */
interface DenoServer {
  readonly addr: { readonly port: number }
  shutdown(): Promise<void>
}

interface DenoInfo {
  readonly remoteAddr: { readonly hostname: string; readonly port: number }
}

declare const Deno: {
  serve(
    options: { hostname: string; port: number; onListen(): void },
    fetch: (request: Request, info: DenoInfo) => Response | Promise<Response>,
  ): DenoServer
}

/**
 * Serves the store of this process over HTTP on Deno until `stop`.
 *
 * @throws AppError `log_unusable`, `log_locked`, `config_invalid` (the address cannot be listened on)
 */
export async function serve(config: Config): Promise<Running> {
  await store.use(await openLog(config), {
    ...config.hub,
    events: eventLines(config.requestLog),
    isShort: shortOf(config.heapWatermark),
  })
  const app = createApp({ hub: store, config, auth: await openAuth(config, store), files: readFile, writeLine: tell })
  const isNative = config.carrier === 'native'
  const server = await listen(config, (request, { remoteAddr }) => {
    const connection: Connection = {
      address: remoteAddr.hostname,
      // The signal of a request whose body came after its headers fires only once the response is written.
      whenClosed: (call) => closedPeers.watch(remoteAddr.hostname, remoteAddr.port, call),
    }
    return isNative
      ? pulled(request, connection, (env) => app.fetch(request, env))
      : app.fetch(request, envOf(connection))
  })
  return { url: urlOf(config.host, server.addr.port), stop: () => stop(server) }
}

async function listen(config: Config, fetch: (request: Request, info: DenoInfo) => Response | Promise<Response>) {
  try {
    return Deno.serve({ hostname: config.host, port: config.port, onListen: () => {} }, fetch)
  } catch (cause) {
    throw await cannotListen(config, cause)
  }
}

async function stop(server: DenoServer): Promise<void> {
  store.drain()
  // There is no way to cut what is left: aborting a server that is shutting down throws. The end of the process does it.
  await Promise.race([server.shutdown(), new Promise((resolve) => setTimeout(resolve, DRAIN_MS))])
  await store.close()
}

if (import.meta.main) await run(serve)
