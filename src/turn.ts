/** Runs `task` when the current turn of the event loop has handled what had arrived; the browser-shaped runtimes get a timer. */
export const afterTurn: (task: () => void) => void =
  typeof setImmediate === 'function' ? (task) => void setImmediate(task) : (task) => void setTimeout(task, 0)

/** Resolves in a later turn. */
export function nextTurn(): Promise<void> {
  return new Promise(afterTurn)
}

/** So long everybody else waits for what is not urgent, in each turn. */
export const TURN_MS = 1

/** Turns of the event loop, shared out to those who ask: what takes long in every turn does not add up in one. */
export class Turns {
  #last: Promise<void> = Promise.resolve()
  readonly #tasks: (() => void)[] = []
  #endedAt = 0

  /** Resolves in a turn that is nobody else's. */
  next(): Promise<void> {
    this.#last = this.#last.then(nextTurn)
    return this.#last
  }

  /**
   * Runs a task in a later turn, after those that were there before. One turn has as many as fit into a millisecond, or into the time
   * that everything else has taken since the last one: half of a busy process, so that nobody falls behind for ever.
   */
  run(task: () => void): void {
    this.#tasks.push(task)
    if (this.#tasks.length > 1) return
    this.#endedAt = performance.now()
    afterTurn(this.#work)
  }

  readonly #work = (): void => {
    const began = performance.now()
    const until = began + Math.max(TURN_MS, began - this.#endedAt)
    let done = 0
    try {
      do this.#tasks[done++]!()
      while (done < this.#tasks.length && performance.now() < until)
    } finally {
      this.#tasks.splice(0, done)
      this.#endedAt = performance.now()
      if (this.#tasks.length > 0) afterTurn(this.#work)
    }
  }
}
