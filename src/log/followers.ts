import type { Deliver, Entry } from './log.ts'
import { afterTurn } from './turn.ts'

/** Those who follow a log. What is told before a follower's `add` has resolved is held for it, in order. */
export class Followers {
  readonly #all = new Set<Deliver>()

  /** Resolves with `head`; `deliver` gets all that is told from this call on, once its caller knows that head. */
  async add(deliver: Deliver, head: number): Promise<number> {
    const early: (readonly Entry[])[] = []
    const hold: Deliver = (entries) => early.push(entries)
    this.#all.add(hold)
    afterTurn(() => {
      if (!this.#all.delete(hold)) return
      this.#all.add(deliver)
      for (const entries of early) deliver(entries)
    })
    return head
  }

  tell(entries: readonly Entry[]): void {
    if (entries.length > 0) for (const deliver of this.#all) deliver(entries)
  }

  clear(): void {
    this.#all.clear()
  }
}
