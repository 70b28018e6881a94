import type { Subscription } from '../hub/subscription.ts'
import type { Filter } from '../topic.ts'
import type { Grant } from './authorize.ts'

/** An open stream and what it is open by. */
export interface Stream {
  readonly subscription: Subscription
  /** What it is of; missing for the demo's stream. */
  filter: Filter | undefined
  grant: Grant
  /** Settles with the last change of the two. */
  changing?: Promise<void>
}

/** Changes a stream after the changes that were begun before, whatever became of them. */
export async function inOrder(stream: Stream, change: () => Promise<void>): Promise<void> {
  const changing = (stream.changing ?? Promise.resolve()).catch(() => {}).then(change)
  stream.changing = changing
  await changing
}

/** The open streams, by the name that `hub.open` told their readers. */
export class Streams {
  readonly #all = new Map<string, Stream>()

  get(name: string): Stream | undefined {
    return this.#all.get(name)
  }

  add(stream: Stream): void {
    this.#all.set(stream.subscription.stream, stream)
  }

  /** Returns what it was, if it was there. */
  delete({ stream }: Subscription): Stream | undefined {
    const known = this.#all.get(stream)
    this.#all.delete(stream)
    return known
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#all.values()
  }
}
