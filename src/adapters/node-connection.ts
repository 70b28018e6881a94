import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Subscription } from '../hub/subscription.ts'
import { type Connection, type ConnectionEnv, envOf } from '../routes/connection.ts'
import { writeToSocket } from './carrier.ts'
import { RequestBody } from './request-body.ts'

/** The connection of a request: one object for each request, and no closures. */
export class NodeConnection implements Connection {
  readonly address: string | undefined
  basePath: string | undefined
  readonly #incoming: IncomingMessage
  readonly #streaming: WeakMap<Socket, IncomingMessage> | undefined
  /** The subscription that is written instead of the response's body. */
  subscription: Subscription | undefined

  /** @param streaming collects the requests whose bodies may exceed the timeout */
  constructor(incoming: IncomingMessage, streaming?: WeakMap<Socket, IncomingMessage>) {
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
    this.#streaming?.set(this.#incoming.socket, this.#incoming)
    this.#incoming.socket.setTimeout(0)
  }

  destroy(): void {
    this.#incoming.socket.destroy()
  }
}

/** A connection whose streams are written to its socket. */
export class NativeConnection extends NodeConnection {
  takeOver(subscription: Subscription): () => void {
    this.subscription = subscription
    return () => this.destroy()
  }
}

/** Answers a request. If the answer takes over a subscription, the subscription is written to the socket. */
export async function answerOver(
  connection: NodeConnection,
  outgoing: ServerResponse,
  answer: (env: ConnectionEnv) => Response | Promise<Response>,
): Promise<Response> {
  const response = await answer(envOf(connection))
  if (!connection.subscription) return response
  writeToSocket(outgoing, response, connection.subscription)
  return RESPONSE_ALREADY_SENT
}
