import type { Context } from 'hono'
import type { Subscription } from '../hub/subscription.ts'

/** Key of a request's connection in Hono's `env`. It is a symbol because all names in `env` belong to the host. */
export const CONNECTION = Symbol('tidings connection')

/** The `env` that an adapter passes. */
export interface ConnectionEnv {
  readonly [CONNECTION]?: Connection
}

/** What an adapter knows about a connection, and what it can do with it. */
export interface Connection {
  /** The peer's address, from the runtime or from the platform in front of it. */
  readonly address?: string | undefined
  /** Returns the request's body of a declared length if all of it has arrived, once: a route need not wait for it then. */
  bufferedBody?(length: number): Uint8Array<ArrayBuffer> | undefined
  /**
   * Iterates over the chunks of the request's body, where the runtime has them without a web stream. It is called once. A caller that does
   * not read to the end calls `return`, and leaves the rest to the runtime.
   */
  body?(): AsyncIterator<Uint8Array>
  /** Keeps the connection open however long it is silent: for streams in either direction. */
  disableIdleTimeout?(): void
  /**
   * Calls once when the client has closed the connection, where neither the request's signal nor a read of its body tells it.
   *
   * @returns a function that stops watching
   */
  whenClosed?(call: () => void): () => void
  /** Closes the connection at once and discards unsent bytes: for a reader that does not drain. */
  destroy?(): void
  /**
   * Writes a subscription's chunks after the response's headers. Without it, `streamSSE` writes them.
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
