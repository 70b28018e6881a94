import type { Context } from 'hono'
import type { Subscription } from '../hub/subscription.ts'

/** A request, and its connection where an adapter tells of it. */
export type Ask = Context<{ Bindings: Connection }>

/** What an adapter tells of a connection and can do for it, in the place where Workers have their bindings. */
export interface Connection {
  /** The address of the client, as the runtime or the platform in front of it knows it. */
  readonly address?: string | undefined
  /** The request's body of a declared length, if all of it is here already: then nobody has to wait for it. It is given once. */
  came?(length: number): Uint8Array<ArrayBuffer> | undefined
  /**
   * The pieces in which the request's body comes, where the runtime has them without making a web stream of them. Read by one, once;
   * who does not read to the end says so with `return`, and the runtime does with the rest what it does with any.
   */
  body?(): AsyncIterator<Uint8Array>
  /** Lets the connection be silent for as long as it likes: for a stream, in either direction. */
  keep?(): void
  /** Cuts the connection off, unsent bytes included: for a reader that does not drain. */
  cut?(): void
  /**
   * Takes over a subscription, whose chunks are to follow the answer's headers. Where nobody does, `streamSSE` carries them.
   *
   * @returns what cuts it off
   */
  carry?(subscription: Subscription): () => void
}
