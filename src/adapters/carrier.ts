import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { whenGone } from '../gone.ts'
import type { Subscription } from '../hub/subscription.ts'
import { type Connection, type ConnectionEnv, envOf } from '../routes/connection.ts'

/** Has a request answered, and gives the answer the body that is pulled from the subscription it takes, if it takes one. */
export async function pulled(
  { signal }: Request,
  connection: Connection,
  answer: (env: ConnectionEnv) => Response | Promise<Response>,
): Promise<Response> {
  let body: PulledBody | undefined
  const takeOver = (subscription: Subscription) => {
    const carried = new PulledBody(subscription, signal)
    body = carried
    return () => {
      carried.cut()
      connection.destroy?.()
    }
  }
  const response = await answer(envOf({ ...connection, takeOver }))
  return body ? new Response(new ReadableStream(body, { highWaterMark: 0 }), response) : response
}

/**
 * A subscription as the body of a response, for runtimes that pull: no queue, no transform, a chunk when there is room for one.
 *
 * @param signal of the request: a runtime cancels the body of a client that is gone, or fires this, or both
 */
class PulledBody implements UnderlyingDefaultSource<Uint8Array> {
  readonly #subscription: Subscription
  readonly #signal: AbortSignal
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #isAsked = false
  #stopListening: (() => void) | undefined

  constructor(subscription: Subscription, signal: AbortSignal) {
    this.#subscription = subscription
    this.#signal = signal
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller
    this.#subscription.onReady = () => this.#give()
    this.#stopListening = whenGone(this.#signal, this.#close)
  }

  pull(): void {
    this.#isAsked = true
    this.#give()
  }

  cancel(): void {
    this.#controller = undefined // it is closed already
    this.#close()
  }

  /** Ends it in the midst of whatever is not sent. */
  cut(): void {
    this.#controller?.error(new Error('This reader does not drain'))
    this.#controller = undefined
    this.#close()
  }

  #give(): void {
    if (!this.#controller) return
    const bytes = this.#isAsked ? this.#subscription.read() : undefined
    if (bytes) {
      this.#isAsked = false
      this.#controller.enqueue(bytes)
    } else if (this.#subscription.ended) {
      this.#controller.close()
      this.#controller = undefined
      this.#stopListening?.()
    }
  }

  readonly #close = () => this.#subscription.close()
}

/**
 * Answers with a response's head and then writes a subscription's chunks to the socket, as they come and as it drains. The end of the
 * connection ends the body (RFC 9112, 6.3): nothing frames a chunk, and the response, which would, is passed by.
 */
export function writeTo(outgoing: ServerResponse, { status, headers }: Response, subscription: Subscription): void {
  if (outgoing.destroyed) {
    subscription.close()
    return
  }
  outgoing.on('close', () => subscription.close())
  outgoing.removeHeader('Transfer-Encoding')
  outgoing.writeHead(status, [...headers, ['Connection', 'close']].flat())
  outgoing.flushHeaders()
  if (outgoing.socket) writeBody(outgoing, outgoing.socket, subscription)
  // Its turn on the connection has not come: requests before it are still being answered. The head goes first then.
  else outgoing.once('socket', (socket: Socket) => process.nextTick(writeBody, outgoing, socket, subscription))
}

/** One chunk at a time: the next is asked for when the kernel has taken this one, so that what a reader does not take is not held. */
function writeBody(outgoing: ServerResponse, socket: Socket, subscription: Subscription): void {
  let isSending = false
  const give = () => {
    while (!isSending) {
      const bytes = subscription.read()
      if (!bytes) {
        if (subscription.ended) outgoing.end()
        return
      }
      socket.write(bytes, sent)
      isSending = socket.writableLength > 0
    }
  }
  const sent = (error?: Error | null) => {
    if (!isSending || error || socket.writableLength > 0) return // one before it, of which Node tells late, while this one waits
    isSending = false
    give()
  }
  subscription.onReady = give
  give()
}
