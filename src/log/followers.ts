import { afterTurn } from '../turn.ts'
import type { Deliver, Entry, Erased, Restarted } from './log.ts'

interface Follower {
  readonly deliver: Deliver
  readonly erased: Erased
  readonly restarted: Restarted
}

/** Those who follow a log. What is told before a follower's `add` has resolved is held for it, in order. */
export class Followers {
  readonly #all = new Set<Follower>()

  /** Resolves with `head`; the follower gets all that is told from this call on, once its caller knows that head. */
  async add(deliver: Deliver, erased: Erased, head: number, restarted: Restarted = () => {}): Promise<number> {
    const early: (() => void)[] = []
    const hold: Follower = {
      deliver: (entries) => early.push(() => deliver(entries)),
      erased: (...gone) => early.push(() => erased(...gone)),
      restarted: (head) => early.push(() => restarted(head)),
    }
    this.#all.add(hold)
    afterTurn(() => {
      if (!this.#all.delete(hold)) return
      this.#all.add({ deliver, erased, restarted })
      for (const tell of early) call(tell)
    })
    return head
  }

  tell(entries: readonly Entry[]): void {
    if (entries.length > 0) for (const { deliver } of this.#all) call(() => deliver(entries))
  }

  tellErased(...gone: Parameters<Erased>): void {
    for (const { erased } of this.#all) call(() => erased(...gone))
  }

  tellRestarted(head: number): void {
    for (const { restarted } of this.#all) call(() => restarted(head))
  }

  clear(): void {
    this.#all.clear()
  }
}

/** A follower that throws is at fault, not the log, nor its neighbours: it is reported as any uncaught error is. */
function call(tell: () => void): void {
  try {
    tell()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
