import type { Subscription } from '../hub/subscription.ts'
import type { Filter } from '../topic.ts'
import type { Grant } from './authorize.ts'

/** An open stream, and the grant that it was opened with. */
export interface Stream {
  readonly subscription: Subscription
  /** Undefined for the demo stream. */
  filter: Filter | undefined
  grant: Grant
  /** Settles with the last change of the filter and the grant. */
  changing?: Promise<void>
}

/** Changes a stream once all earlier changes have settled. */
export async function inOrder(stream: Stream, change: () => Promise<void>): Promise<void> {
  const changing = (stream.changing ?? Promise.resolve()).catch(() => {}).then(change)
  stream.changing = changing
  await changing
}

/** The open streams, by the name that `hub.open` gives to their readers. */
export class Streams {
  readonly #all = new Map<string, Stream>()

  get(name: string): Stream | undefined {
    return this.#all.get(name)
  }

  add(stream: Stream): void {
    this.#all.set(stream.subscription.stream, stream)
  }

  /** Returns the deleted stream, if there was one. */
  delete({ stream }: Subscription): Stream | undefined {
    const known = this.#all.get(stream)
    this.#all.delete(stream)
    return known
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#all.values()
  }
}
