import { afterTurn } from '../turn.ts'
import type { Deliver, Entry, Erased, Restarted } from './log.ts'

interface Follower {
  readonly deliver: Deliver
  readonly erased: Erased
  readonly restarted: Restarted
}

/** The followers of a log. Calls to a follower whose `add` has not resolved yet are held back, in order. */
export class Followers {
  readonly #all = new Set<Follower>()

  /** Resolves with `head`. The follower gets everything from this call on, but only after `add` has resolved. */
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
      for (const held of early) call(held)
    })
    return head
  }

  deliver(entries: readonly Entry[]): void {
    if (entries.length > 0) for (const { deliver } of this.#all) call(() => deliver(entries))
  }

  reportErased(...gone: Parameters<Erased>): void {
    for (const { erased } of this.#all) call(() => erased(...gone))
  }

  reportRestarted(head: number): void {
    for (const { restarted } of this.#all) call(() => restarted(head))
  }

  clear(): void {
    this.#all.clear()
  }
}

/** Calls a follower. Its error does not reach the log or other followers, but is reported like any uncaught error. */
function call(follower: () => void): void {
  try {
    follower()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
