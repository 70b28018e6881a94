import type { Entry } from '../log/log.ts'
import { encodeRepeat } from './frame.ts'

/** The newest entry of one topic, kept ready to be said again. */
export interface Repeat {
  entry: Entry | undefined
  bytes: Uint8Array | undefined
}

/** The topics that some reader wants repeated. One frame a topic, whatever the number of readers. */
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

  /** Whether somebody wants this topic repeated; what was noted of it is forgotten, for it may be gone. */
  forget(topic: string): boolean {
    const repeat = this.#byTopic.get(topic)
    if (!repeat) return false
    repeat.entry = repeat.bytes = undefined
    return true
  }

  /** Forgets what was noted of every topic. */
  clear(): void {
    for (const topic of this.#byTopic.keys()) this.forget(topic)
  }

  /** Takes note of an entry, if anybody wants its topic repeated and it is newer than what we have. */
  note(entry: Entry): void {
    const repeat = this.#byTopic.get(entry.topic)
    if (!repeat || entry.seq < (repeat.entry?.seq ?? 0)) return
    repeat.entry = entry
    repeat.bytes = encodeRepeat(entry)
  }
}
