import type { Subscription } from '../hub/subscription.ts'
import type { Filter } from '../topic.ts'
import type { Grant } from './authorize.ts'
import { revocableNames } from './revocations.ts'

/** An open stream, and its current grant. */
export interface Stream {
  readonly subscription: Subscription
  /** Undefined for the demo stream. */
  readonly filter: Filter | undefined
  readonly grant: Grant
  /** Settles with the last change of the filter and the grant. */
  changing?: Promise<void>
}

/** Changes a stream once all earlier changes have settled. */
export async function inOrder(stream: Stream, change: () => Promise<void>): Promise<void> {
  const changing = (stream.changing ?? Promise.resolve()).catch(() => {}).then(change)
  stream.changing = changing
  await changing
}

/**
 * The open streams, by the name that `hub.open` gives to their readers, and by the names under which their grants can be revoked. So a
 * revocation looks only at the streams that it may end.
 */
export class Streams {
  readonly #all = new Map<string, Stream>()
  readonly #revocable = new Map<string, Set<Stream>>()

  get(name: string): Stream | undefined {
    return this.#all.get(name)
  }

  /** Returns the streams whose grants a revocation of this name concerns. See `revocableNames`. */
  revocableAs(name: string): Iterable<Stream> {
    return this.#revocable.get(name) ?? []
  }

  add(stream: Stream): void {
    this.#all.set(stream.subscription.stream, stream)
    this.#index(stream)
  }

  /** Gives a stream a new filter and a new grant. */
  change(stream: Stream, { filter, grant }: Pick<Stream, 'filter' | 'grant'>): void {
    const isOpen = this.#all.get(stream.subscription.stream) === stream
    if (isOpen) this.#removeFromIndex(stream)
    Object.assign(stream, { filter, grant })
    if (isOpen) this.#index(stream)
  }

  /** Deletes the stream of a subscription. @returns the deleted stream; undefined if it was unknown */
  delete({ stream }: Subscription): Stream | undefined {
    const known = this.#all.get(stream)
    this.#all.delete(stream)
    if (known) this.#removeFromIndex(known)
    return known
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#all.values()
  }

  #index(stream: Stream): void {
    for (const name of revocableNames(stream.grant)) {
      const streams = this.#revocable.get(name) ?? new Set()
      this.#revocable.set(name, streams.add(stream))
    }
  }

  #removeFromIndex(stream: Stream): void {
    for (const name of revocableNames(stream.grant)) {
      const streams = this.#revocable.get(name)
      streams?.delete(stream)
      if (streams?.size === 0) this.#revocable.delete(name)
    }
  }
}
