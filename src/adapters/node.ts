import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type HttpBindings, serve as listen } from '@hono/node-server'
import { createApp } from '../app.ts'
import { type Config, parseConfig, settings } from '../config.ts'
import { AppError } from '../errors.ts'
import { store } from '../store.ts'
import { readFiles } from './files.ts'
import { openLog } from './open.ts'

/** Longest wait for streams to end and requests to be answered before connections are cut. */
const DRAIN_MS = 5000

export interface Running {
  /** Where it listens, as a person would type it. */
  readonly url: string
  readonly durability: string
  /** Drains and closes: no new streams, last frames and a spread `retry:` to the open ones, the log last. At most about 5 s. */
  stop(): Promise<void>
}

/**
 * Serves the store of this process over HTTP until `stop`.
 *
 * @throws AppError `log_unusable`, `log_locked`, `config_invalid` (the address cannot be listened on)
 */
export async function serve(config: Config): Promise<Running> {
  await store.use(openLog(config), config.hub)
  const app = createApp({ hub: store, config, files: readFiles })
  const server = listen({
    fetch: (request, env) => app.fetch(request, { cut: () => (env as HttpBindings).incoming.socket.destroy() }),
    hostname: config.host,
    port: config.port,
    serverOptions: { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 5000 },
  }) as Server
  await once(server, 'listening').catch(async (cause: Error) => {
    await store.close()
    throw new AppError(
      'config_invalid',
      `Cannot listen on ${config.host} port ${config.port}: ${cause.message}; name others with HOST and PORT`,
      { cause },
    )
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${nameOf(config.host)}:${port}`,
    durability: await store.durability(),
    stop: () => stop(server),
  }
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

function nameOf(host: string): string {
  if (host === '127.0.0.1' || host === '::1') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

function help(): string {
  const rows = Object.entries(settings).map(
    ([name, { says, initial }]) => `  ${name.padEnd(22)}${initial.padEnd(26)}${says}`,
  )
  return `Tidings, a Server-Sent Events hub. Settings are environment variables:\n\n${rows.join('\n')}\n`
}

async function main(): Promise<void> {
  if (process.argv.includes('--help') || process.argv.includes('-h')) return console.log(help())
  const config = parseConfig(process.env)
  const running = await serve(config)
  const reach = config.open ? 'open to everybody who can reach it' : 'open to this machine only'
  console.log(`Tidings listens on ${running.url} (${reach}); log ${config.log}, durability ${running.durability}`)
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

if (import.meta.main)
  main().catch((error: unknown) => {
    console.error(error instanceof AppError ? error.message : error)
    process.exit(1)
  })
