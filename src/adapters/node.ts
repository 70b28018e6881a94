import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type HttpBindings, serve as listen } from '@hono/node-server'
import { createApp } from '../app.ts'
import type { Config } from '../config/config.ts'
import { store } from '../store.ts'
import { AcceptFailures } from './accept-failures.ts'
import { readFile } from './files.ts'
import { openAuth } from './keys.ts'
import { heapCheck } from './limits.ts'
import { eventLines, writeLine } from './log-lines.ts'
import { openLog } from './logs.ts'
import { answerOver, NativeConnection, NodeConnection } from './node-connection.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'
import { type Listening, warmUp } from './warmup.ts'

export { handler, type NodeEnv } from './handler.ts'

/** Longest time for a request's headers to arrive. */
const HEADERS_MS = 10_000
/** How often requests that exceed a timeout are disconnected. A longer interval disconnects many in one turn, which delays the others. */
const CHECK_MS = 500
/** Most bytes of headers: more than any token that deserves an answer about what is wrong with it. */
const HEADERS_BYTES = 32 * 1024

/**
 * Serves the store of this process over HTTP on Node until `stop`.
 *
 * @throws AppError `log_unusable`, `log_locked`, `config_invalid` (the address cannot be listened on)
 * @example
 * import process from 'node:process'
 * import { parseConfig } from 'tidings'
 * import { serve } from 'tidings/node'
 * const { url, stop } = await serve(parseConfig(process.env))
 * console.log(`The hub listens on ${url}`)
 * process.once('SIGTERM', stop)
 */
export async function serve(config: Config): Promise<Running> {
  await store.use(await openLog(config), {
    ...config.hub,
    events: eventLines(config.requestLog),
    isShort: heapCheck(config.heapWatermark),
  })
  if (config.warmUp) await warmUp(config, listenTo)
  const app = createApp({ hub: store, config, auth: await openAuth(config, store), files: readFile, writeLine })
  const { server, port } = await listenTo(app, config).catch(async (cause) => {
    throw await cannotListen(config, cause)
  })
  return { url: urlOf(config.host, port), stop: () => stop(server) }
}

/** @throws the system's error, if the address cannot be listened on */
async function listenTo(app: ReturnType<typeof createApp>, config: Config): Promise<Listening> {
  const requestTimeout = config.body.bodyTimeoutMs + HEADERS_MS // a second guard, for bodies that no route reads
  const isNative = config.carrier === 'native'
  const streaming = new WeakMap<Socket, IncomingMessage>()
  const responses = new WeakMap<Socket, ServerResponse>()
  const server = listen({
    fetch: async (request, env) => {
      const { incoming, outgoing } = env as HttpBindings
      responses.set(incoming.socket, outgoing as ServerResponse)
      const connection = isNative ? new NativeConnection(incoming, streaming) : new NodeConnection(incoming, streaming)
      return answerOver(connection, outgoing as ServerResponse, (env) => app.fetch(request, env))
    },
    hostname: config.host,
    port: config.port,
    serverOptions: {
      headersTimeout: HEADERS_MS,
      keepAliveTimeout: config.keepAliveMs,
      requestTimeout,
      connectionsCheckingInterval: CHECK_MS,
      maxHeaderSize: HEADERS_BYTES,
    },
  }) as Server
  server.timeout = requestTimeout + HEADERS_MS // the last guard, against clients that do not read their response
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // A body that is published as it streams in may exceed the timeout: its route bounds it. Node reports a timeout once.
    const isTimeout = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
    if (isTimeout && streaming.get(socket)?.complete === false) return
    const status = isTimeout ? '408 Request Timeout' : (refusals[error.code ?? ''] ?? '400 Bad Request')
    const response = responses.get(socket)
    // A response that has begun is the only one to its request, also if it has ended before the request has.
    const isAnswering = response?.headersSent && !(response.writableFinished && response.req.complete)
    if (socket.writable && !isAnswering) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    socket.destroySoon()
  })
  await once(server, 'listening')
  const failures = new AcceptFailures()
  server.on('error', (cause) => failures.report(cause)) // without a listener it would end the process
  return { server, port: (server.address() as AddressInfo).port }
}

/** Status lines for requests that Node cannot parse, by its error code. */
const refusals: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
}

async function stop(server: Server): Promise<void> {
  const closed = once(server, 'close')
  store.drain()
  server.close()
  // A stream that has ended leaves a keep-alive connection behind, for which `close` would wait for `KEEP_ALIVE`.
  const closeIdle = setInterval(() => server.closeIdleConnections(), 50)
  const deadline = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
  await closed
  clearInterval(closeIdle)
  clearTimeout(deadline)
  await store.close()
}

if (import.meta.main) void run(serve)
