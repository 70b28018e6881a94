import type { Context } from 'hono'
import type { Subscription } from '../hub/subscription.ts'

/** Where an adapter puts the connection of a request in Hono's `env`: a symbol, because everything else there is the host's. */
export const CONNECTION = Symbol('tidings connection')

/** What an adapter passes as `env`. */
export interface ConnectionEnv {
  readonly [CONNECTION]?: Connection
}

/** What an adapter tells of a connection and can do for it. */
export interface Connection {
  /** The address of the client, as the runtime or the platform in front of it knows it. */
  readonly address?: string | undefined
  /** The request's body of a declared length, if all of it has arrived: then nobody has to wait for it. It is given once. */
  bufferedBody?(length: number): Uint8Array<ArrayBuffer> | undefined
  /**
   * The pieces in which the request's body arrives, where the runtime has them without making a web stream of them. Read by one, once;
   * whoever does not read to the end says so with `return`, and the runtime treats the rest as it treats any.
   */
  body?(): AsyncIterator<Uint8Array>
  /** Lets the connection be silent for as long as it likes: for a stream, in either direction. */
  disableIdleTimeout?(): void
  /** Closes the connection at once, unsent bytes included: for a reader that does not drain. */
  destroy?(): void
  /**
   * Takes over a subscription, whose chunks follow the answer's headers. Where no adapter does, `streamSSE` carries them.
   *
   * @returns what disconnects its reader
   */
  takeOver?(subscription: Subscription): () => void
}

/** The `env` that carries a connection to the routes. */
export function envOf(connection: Connection): ConnectionEnv {
  return { [CONNECTION]: connection }
}

/** A request's connection, where an adapter tells of it. */
export function connectionOf(c: Context): Connection | undefined {
  return (c.env as ConnectionEnv | undefined)?.[CONNECTION]
}
