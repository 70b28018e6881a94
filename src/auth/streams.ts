import type { Subscription } from '../hub/subscription.ts'
import type { Filter } from '../topic.ts'
import type { Grant } from './authorize.ts'

/** An open stream and what it is open by. */
export interface Stream {
  readonly subscription: Subscription
  /** What it is of; missing for the seed's. */
  filter: Filter | undefined
  grant: Grant
}

/** The open streams, by the name that `hub.open` told their readers. */
export class Streams {
  readonly #all = new Map<string, Stream>()
  readonly #bySubject = new Map<string, number>()

  get(name: string): Stream | undefined {
    return this.#all.get(name)
  }

  /** Streams of one subject. */
  count(subject: string): number {
    return this.#bySubject.get(subject) ?? 0
  }

  add(stream: Stream): void {
    this.#all.set(stream.subscription.stream, stream)
    const { subject } = stream.grant
    if (subject !== undefined) this.#bySubject.set(subject, this.count(subject) + 1)
  }

  /** Returns what it was, if it was there. */
  delete({ stream }: Subscription): Stream | undefined {
    const known = this.#all.get(stream)
    this.#all.delete(stream)
    const subject = known?.grant.subject // a renewal does not change it
    if (subject === undefined) return known
    const left = this.count(subject) - 1
    if (left > 0) this.#bySubject.set(subject, left)
    else this.#bySubject.delete(subject)
    return known
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#all.values()
  }
}
