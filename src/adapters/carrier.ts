import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { whenGone } from '../client-gone.ts'
import type { Subscription } from '../hub/subscription.ts'
import { type Connection, type ConnectionEnv, envOf } from '../routes/connection.ts'
import { ChunkedCoding } from './chunked.ts'

/** Answers a request. If the answer takes over a subscription, the runtime pulls the body from the subscription. */
export async function answerPulled(
  { signal }: Request,
  connection: Connection,
  answer: (env: ConnectionEnv) => Response | Promise<Response>,
): Promise<Response> {
  let body: PulledBody | undefined
  const takeOver = (subscription: Subscription) => {
    const taken = new PulledBody(subscription, signal)
    body = taken
    return () => {
      taken.abort()
      connection.destroy?.()
    }
  }
  const response = await answer(envOf({ ...connection, takeOver }))
  return body ? new Response(new ReadableStream(body, { highWaterMark: 0 }), response) : response
}

/**
 * The body of a response that delivers a subscription, for runtimes that pull bodies: no queue, no transform, one chunk whenever the
 * runtime has room for it.
 *
 * @param signal the signal of the request. When the client disconnects, some runtimes cancel the body, some abort the signal, some do both
 */
class PulledBody implements UnderlyingDefaultSource<Uint8Array> {
  readonly #subscription: Subscription
  readonly #signal: AbortSignal
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #hasRoom = false
  #stopListening: (() => void) | undefined

  constructor(subscription: Subscription, signal: AbortSignal) {
    this.#subscription = subscription
    this.#signal = signal
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller
    this.#subscription.onReady = () => this.#enqueueNext()
    this.#stopListening = whenGone(this.#signal, this.#unsubscribe)
  }

  pull(): void {
    this.#hasRoom = true
    this.#enqueueNext()
  }

  cancel(): void {
    this.#controller = undefined // the runtime has closed it
    this.#unsubscribe()
  }

  /** Breaks the body off; chunks that were not sent are discarded. There is no reason to pass: Bun and Deno would only print it. */
  abort(): void {
    this.#controller?.error()
    this.#controller = undefined
    this.#unsubscribe()
  }

  #enqueueNext(): void {
    if (!this.#controller) return
    const chunk = this.#hasRoom ? this.#subscription.read() : undefined
    if (chunk) {
      this.#hasRoom = false
      this.#controller.enqueue(chunk)
    } else if (this.#subscription.mustBreakOff) this.abort()
    else if (this.#subscription.ended) {
      this.#controller.close()
      this.#controller = undefined
      this.#stopListening?.()
    }
  }

  readonly #unsubscribe = () => this.#subscription.close()
}

const chunked = new ChunkedCoding()

/**
 * Sends the head of a response, then writes the chunks of a subscription to the socket as fast as it drains. `ServerResponse` is bypassed:
 * it would frame each chunk for each reader. To a client of HTTP/1.0 the chunks go as they are, and the end of the connection delimits the
 * body (RFC 9112, 6.3).
 */
export function writeToSocket(
  outgoing: ServerResponse,
  { status, headers }: Response,
  subscription: Subscription,
): void {
  if (outgoing.destroyed) {
    subscription.close()
    return
  }
  outgoing.on('close', () => subscription.close())
  outgoing.writeHead(status, [...headers, ['Connection', 'close']].flat())
  outgoing.flushHeaders()
  if (outgoing.socket) writeBody(outgoing, outgoing.socket, subscription)
  // Earlier requests of the connection are still being answered: the response has no socket yet. Its head goes first then.
  else outgoing.once('socket', (socket: Socket) => process.nextTick(writeBody, outgoing, socket, subscription))
}

/** Reads the next chunk only when the kernel has taken the last one, so that a client that does not read costs at most one chunk. */
function writeBody(outgoing: ServerResponse, socket: Socket, subscription: Subscription): void {
  const { chunkedEncoding } = outgoing // by now the head is made
  let isSending = false
  const writeNext = () => {
    while (!isSending) {
      const chunk = subscription.read()
      if (!chunk) {
        if (subscription.mustBreakOff) breakOff(socket, chunkedEncoding)
        else if (subscription.ended) outgoing.end() // writes the last chunk, of no bytes
        return
      }
      socket.write(chunkedEncoding ? chunked.frame(chunk) : chunk, written)
      isSending = socket.writableLength > 0
    }
  }
  const written = (error?: Error | null) => {
    // Node may report an earlier chunk, which it took at once, while a later one is still being sent.
    if (!isSending || error || socket.writableLength > 0) return
    isSending = false
    writeNext()
  }
  subscription.onReady = writeNext
  writeNext()
}

/** The head of a chunk of one byte. */
const CHUNK_HEAD = '1\r\n'

/**
 * Closes a connection in the midst of a chunk. A body without framing has no other end that differs from its own than a reset, which may
 * overtake the last bytes.
 */
function breakOff(socket: Socket, isChunked: boolean): void {
  if (!isChunked) {
    socket.resetAndDestroy()
    return
  }
  socket.write(CHUNK_HEAD)
  socket.destroy()
}
