import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type HttpBindings, serve as listen } from '@hono/node-server'
import { createApp } from '../app.ts'
import type { Config } from '../config.ts'
import { store } from '../store.ts'
import { readFile } from './files.ts'
import { openLog } from './open.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'

/**
 * Serves the store of this process over HTTP on Node until `stop`.
 *
 * @throws AppError `log_unusable`, `log_locked`, `config_invalid` (the address cannot be listened on)
 */
export async function serve(config: Config): Promise<Running> {
  await store.use(openLog(config), config.hub)
  const app = createApp({ hub: store, config, files: readFile })
  const server = listen({
    fetch: (request, env) => app.fetch(request, { cut: () => (env as HttpBindings).incoming.socket.destroy() }),
    hostname: config.host,
    port: config.port,
    serverOptions: { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 5000 },
  }) as Server
  await once(server, 'listening').catch(async (cause) => {
    throw await cannotListen(config, cause)
  })
  const { port } = server.address() as AddressInfo
  return { url: urlOf(config.host, port), stop: () => stop(server) }
}

async function stop(server: Server): Promise<void> {
  const closed = once(server, 'close')
  store.drain()
  server.close()
  // A stream that has ended leaves a keep-alive connection behind, for which `close` would wait (measured: 6 s).
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const late = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
  await closed
  clearInterval(idle)
  clearTimeout(late)
  await store.close()
}

if (import.meta.main) await run(serve)
