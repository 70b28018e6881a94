import type { Entry } from '../log/log.ts'
import { encodeRepeat } from './frame.ts'

/** The newest entry of a topic, encoded as a repeat. */
export interface Repeat {
  entry: Entry | undefined
  bytes: Uint8Array | undefined
}

/** The topics that at least one reader wants repeated. All readers of a topic share one encoded repeat. */
export class Repeats {
  readonly #byTopic = new Map<string, Repeat & { readers: number }>()

  join(topic: string): Repeat {
    const known = this.#byTopic.get(topic)
    const repeat = known ?? { entry: undefined, bytes: undefined, readers: 0 }
    repeat.readers++
    this.#byTopic.set(topic, repeat)
    return repeat
  }

  leave(topic: string): void {
    const repeat = this.#byTopic.get(topic)
    if (repeat && --repeat.readers === 0) this.#byTopic.delete(topic)
  }

  /** Forgets the newest entry of a topic, which may have been erased. Returns whether a reader wants the topic repeated. */
  forget(topic: string): boolean {
    const repeat = this.#byTopic.get(topic)
    if (!repeat) return false
    repeat.entry = repeat.bytes = undefined
    return true
  }

  /** Forgets the newest entry of every topic. */
  clear(): void {
    for (const topic of this.#byTopic.keys()) this.forget(topic)
  }

  /** Keeps an entry as its topic's repeat, if a reader wants the topic repeated and no newer entry is kept. */
  note(entry: Entry): void {
    const repeat = this.#byTopic.get(entry.topic)
    if (!repeat || entry.seq < (repeat.entry?.seq ?? 0)) return
    repeat.entry = entry
    repeat.bytes = encodeRepeat(entry)
  }
}
