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
import { writeTo } from './carrier.ts'
import { readFile } from './files.ts'
import { Incoming } from './incoming.ts'
import { openAuth } from './keys.ts'
import { openLog } from './logs.ts'
import { shortOf } from './machine.ts'
import { cannotListen, DRAIN_MS, type Running, run, urlOf } from './run.ts'
import { eventLines, tell } from './tell.ts'
import { type Listening, warmUp } from './warmup.ts'

/** Longest time in which a request's headers have to come. */
const HEADERS_MS = 10_000
/** How often those that are late are cut off: seldom is many at once, for which everybody else waits. */
const CHECK_MS = 500
/** Most bytes of them: more than any token that is answered with what is wrong with it. */
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
    isShort: shortOf(config.heapWatermark),
  })
  if (config.warmUp) await warmUp(config, listenTo)
  const app = createApp({ hub: store, config, auth: await openAuth(config, store), files: readFile, tell })
  const { server, port } = await listenTo(app, config).catch(async (cause) => {
    throw await cannotListen(config, cause)
  })
  return { url: urlOf(config.host, port), stop: () => stop(server) }
}

/** @throws what the system says, if the address cannot be listened on */
async function listenTo(app: ReturnType<typeof createApp>, config: Config): Promise<Listening> {
  const requestTimeout = config.body.bodyTimeoutMs + HEADERS_MS // a second guard, for bodies that no route reads
  const isNative = config.carrier === 'native'
  const streaming = new WeakMap<Socket, IncomingMessage>()
  const answers = new WeakMap<Socket, ServerResponse>()
  const server = listen({
    fetch: async (request, env) => {
      const { incoming, outgoing } = env as HttpBindings
      answers.set(incoming.socket, outgoing as ServerResponse)
      const connection = isNative ? new NativeConnection(incoming, streaming) : new NodeConnection(incoming, streaming)
      const response = await app.fetch(request, envOf(connection))
      if (!connection.carried) return response
      writeTo(outgoing as ServerResponse, response, connection.carried)
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
  server.timeout = requestTimeout + HEADERS_MS // the last guard: of who asks for something and does not read it
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // A body that is published as it streams in may take its time: the route bounds it. Node tells of a timeout once.
    const isLate = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
    if (isLate && streaming.get(socket)?.complete === false) return
    const status = isLate ? '408 Request Timeout' : (refusals[error.code ?? ''] ?? '400 Bad Request')
    const answer = answers.get(socket)
    const isMidway = answer?.headersSent && !answer.writableFinished
    if (socket.writable && !isMidway) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    socket.destroySoon()
  })
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

/** A request's connection: one object a request, and no closure. */
class NodeConnection implements Connection {
  readonly address: string | undefined
  readonly #incoming: IncomingMessage
  readonly #streaming: WeakMap<Socket, IncomingMessage>
  /** What is to be written in the place of the answer's body. */
  carried: Subscription | undefined

  /** @param streaming takes note of requests whose bodies may take their time */
  constructor(incoming: IncomingMessage, streaming: WeakMap<Socket, IncomingMessage>) {
    this.address = incoming.socket.remoteAddress
    this.#incoming = incoming
    this.#streaming = streaming
  }

  /**
   * Node runs promises after each piece of a request that it has parsed: a body that came with its headers is here once a handler has
   * waited for anything. To listen for it costs a quarter more a publish (measured).
   */
  bufferedBody(length: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#incoming.readableLength !== length) return
    const bytes = this.#incoming.read()
    this.#incoming.resume() // to its end, which is still to be told
    return bytes
  }

  body(): AsyncIterator<Uint8Array> {
    return new Incoming(this.#incoming)
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
    this.carried = subscription
    return () => this.destroy()
  }
}

/** What is said to a request that cannot be read. */
const refusals: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
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
