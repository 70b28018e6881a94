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
      for (const entries of early) call(deliver, entries)
    })
    return head
  }

  tell(entries: readonly Entry[]): void {
    if (entries.length > 0) for (const deliver of this.#all) call(deliver, entries)
  }

  clear(): void {
    this.#all.clear()
  }
}

/** A follower that throws is at fault, not the log, nor its neighbours: it is reported as any uncaught error is. */
function call(deliver: Deliver, entries: readonly Entry[]): void {
  try {
    deliver(entries)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
