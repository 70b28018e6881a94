import type { Context } from 'hono'
import type { Subscription } from '../hub/subscription.ts'

/** Key of a request's connection in Hono's `env`. The key is a symbol, because all names in `env` belong to the host; it is registered, because the app may be of another copy of this package. */
export const CONNECTION: unique symbol = Symbol.for('tidings connection')

/** The `env` that an adapter passes. */
export interface ConnectionEnv {
  readonly [CONNECTION]?: Connection
}

/** What an adapter knows about the connection of a request, and can do with the connection. */
export interface Connection {
  /** The peer's address, from the runtime or from the platform in front of it. */
  readonly address?: string | undefined
  /** The path that the host has cut off the request's URL. */
  readonly basePath?: string | undefined
  /** Returns the request's body if all bytes of its declared length have arrived, so that a route need not wait. Works once. */
  bufferedBody?(length: number): Uint8Array<ArrayBuffer> | undefined
  /**
   * Iterates over the chunks of the request's body, on runtimes that have them without a web stream. May be called once. A caller that
   * does not read to the end must call `return`, which leaves the rest to the runtime.
   */
  body?(): AsyncIterator<Uint8Array>
  /** Keeps the connection open however long it is silent: for streams of events, and for streamed bodies. */
  disableIdleTimeout?(): void
  /**
   * Calls `call` once when the client has closed the connection. Only runtimes have this where neither the request's signal nor reading
   * the body reveals a close.
   *
   * @returns a function that stops watching
   */
  whenClosed?(call: () => void): () => void
  /** Closes the connection at once and discards unsent bytes: for a reader that does not read its stream. */
  destroy?(): void
  /**
   * Writes a subscription's chunks after the response's headers. An adapter without `takeOver` leaves them to `streamSSE`.
   *
   * @returns a function that disconnects the reader
   */
  takeOver?(subscription: Subscription): () => void
}

/** Makes the `env` that passes a connection to the routes. */
export function envOf(connection: Connection): ConnectionEnv {
  return { [CONNECTION]: connection }
}

/** Returns a request's connection, if the adapter has passed one. */
export function connectionOf(c: Context): Connection | undefined {
  return (c.env as ConnectionEnv | undefined)?.[CONNECTION]
}
