import type { Entry } from '../log/log.ts'
import { encodeRepeat, type Form, keyOfForm } from './frame.ts'

/** The newest entry of a topic, and its repeat in the forms that readers have asked for. */
export class Repeat {
  #entry: Entry | undefined
  readonly #encoded = new Map<string, Uint8Array>()

  get entry(): Entry | undefined {
    return this.#entry
  }

  set entry(entry: Entry | undefined) {
    this.#entry = entry
    this.#encoded.clear()
  }

  /** The bytes of the repeat, encoded once for all readers of a form; undefined without an entry. */
  bytes(form: Form): Uint8Array | undefined {
    if (!this.#entry) return
    const key = keyOfForm(form)
    const known = this.#encoded.get(key)
    if (known) return known
    const bytes = encodeRepeat(this.#entry, form)
    this.#encoded.set(key, bytes)
    return bytes
  }
}

/** The topics that at least one reader wants repeated. All readers of a topic share its repeat. */
export class Repeats {
  readonly #byTopic = new Map<string, { readonly repeat: Repeat; readers: number }>()

  join(topic: string): Repeat {
    const joined = this.#byTopic.get(topic) ?? { repeat: new Repeat(), readers: 0 }
    joined.readers++
    this.#byTopic.set(topic, joined)
    return joined.repeat
  }

  leave(topic: string): void {
    const left = this.#byTopic.get(topic)
    if (left && --left.readers === 0) this.#byTopic.delete(topic)
  }

  /** Forgets the newest entry of a topic, which may have been erased. Returns whether a reader wants the topic repeated. */
  forget(topic: string): boolean {
    const known = this.#byTopic.get(topic)
    if (!known) return false
    known.repeat.entry = undefined
    return true
  }

  /** Forgets the newest entry of every topic. */
  clear(): void {
    for (const topic of this.#byTopic.keys()) this.forget(topic)
  }

  /** Keeps an entry as its topic's repeat, if a reader wants the topic repeated and no newer entry is kept. */
  note(entry: Entry): void {
    const repeat = this.#byTopic.get(entry.topic)?.repeat
    if (!repeat || entry.seq < (repeat.entry?.seq ?? 0)) return
    repeat.entry = entry
  }
}
