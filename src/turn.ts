/** Runs `task` when the current turn of the event loop has handled what had arrived; the browser-shaped runtimes get a timer. */
export const afterTurn: (task: () => void) => void =
  typeof setImmediate === 'function' ? (task) => void setImmediate(task) : (task) => void setTimeout(task, 0)

/** Resolves in a later turn. */
export function nextTurn(): Promise<void> {
  return new Promise(afterTurn)
}

/** Turns of the event loop, each for one of those who ask: what takes long in every turn does not add up in one. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  /** Resolves in a turn that is nobody else's. */
  next(): Promise<void> {
    this.#last = this.#last.then(nextTurn)
    return this.#last
  }
}
