import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type HttpBindings, serve as listen } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { createApp } from '../app.ts'
import type { Config } from '../config/config.ts'
import type { Subscription } from '../hub/subscription.ts'
import { type Connection, envOf } from '../routes/connection.ts'
import { store } from '../store.ts'
import { AcceptFailures } from './accept-failures.ts'
import { writeToSocket } from './carrier.ts'
import { readFile } from './files.ts'
import { openAuth } from './keys.ts'
import { heapCheck } from './limits.ts'
import { eventLines, writeLine } from './log-lines.ts'
import { openLog } from './logs.ts'
import { RequestBody } from './request-body.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'
import { type Listening, warmUp } from './warmup.ts'

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
      const response = await app.fetch(request, envOf(connection))
      if (!connection.subscription) return response
      writeToSocket(outgoing as ServerResponse, response, connection.subscription)
      return RESPONSE_ALREADY_SENT
    },
    hostname: config.host,
    port: config.port,
    serverOptions: {
      headersTimeout: HEADERS_MS,
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
    const isMidway = response?.headersSent && !response.writableFinished
    if (socket.writable && !isMidway) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    socket.destroySoon()
  })
  await once(server, 'listening')
  const failures = new AcceptFailures()
  server.on('error', (cause) => failures.report(cause)) // without a listener it would end the process
  return { server, port: (server.address() as AddressInfo).port }
}

/** The connection of a request: one object for each request, and no closures. */
class NodeConnection implements Connection {
  readonly address: string | undefined
  readonly #incoming: IncomingMessage
  readonly #streaming: WeakMap<Socket, IncomingMessage>
  /** The subscription that is written instead of the response's body. */
  subscription: Subscription | undefined

  /** @param streaming collects the requests whose bodies may exceed the timeout */
  constructor(incoming: IncomingMessage, streaming: WeakMap<Socket, IncomingMessage>) {
    this.address = incoming.socket.remoteAddress
    this.#incoming = incoming
    this.#streaming = streaming
  }

  /**
   * Node runs promises after it has parsed each chunk of a request. So a body that arrived with its headers is buffered as soon as a
   * handler has awaited anything. Listening for the body would cost a quarter more for each publish (measured).
   */
  bufferedBody(length: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#incoming.readableLength !== length) return
    const bytes = this.#incoming.read()
    this.#incoming.resume() // on to its end, which Node has not emitted yet
    return bytes
  }

  body(): AsyncIterator<Uint8Array> {
    return new RequestBody(this.#incoming)
  }

  disableIdleTimeout(): void {
    this.#streaming.set(this.#incoming.socket, this.#incoming)
    this.#incoming.socket.setTimeout(0)
  }

  destroy(): void {
    this.#incoming.socket.destroy()
  }
}

class NativeConnection extends NodeConnection {
  takeOver(subscription: Subscription): () => void {
    this.subscription = subscription
    return () => this.destroy()
  }
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
  // A stream that has ended leaves a keep-alive connection behind, for which `close` would wait 6 s (measured).
  const closeIdle = setInterval(() => server.closeIdleConnections(), 50)
  const deadline = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
  await closed
  clearInterval(closeIdle)
  clearTimeout(deadline)
  await store.close()
}

if (import.meta.main) await run(serve)
