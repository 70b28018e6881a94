import type { Subscription } from '../hub/subscription.ts'

/** What an adapter tells of a connection and can do for it, in the place where Workers have their bindings. */
export interface Connection {
  /** The address of the client, as the runtime or the platform in front of it knows it. */
  readonly address?: string | undefined
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
