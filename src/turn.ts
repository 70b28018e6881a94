/** Runs `task` after the I/O of the current turn of the event loop. Runtimes without `setImmediate` use a timer. */
export const afterTurn: (task: () => void) => void =
  typeof setImmediate === 'function' ? (task) => void setImmediate(task) : (task) => void setTimeout(task, 0)

/** Resolves in a later turn. */
export function nextTurn(): Promise<void> {
  return new Promise(afterTurn)
}

/** The part of a turn, in ms, that work without urgency may take. */
export const TURN_MS = 1

/** Shares turns of the event loop between long tasks, so that they do not add up in one turn. */
export class Turns {
  #last: Promise<void> = Promise.resolve()
  readonly #tasks: (() => void)[] = []
  #endedAt = 0

  /** Resolves in a turn that no other caller has. */
  next(): Promise<void> {
    this.#last = this.#last.then(nextTurn)
    return this.#last
  }

  /**
   * Runs a task in a later turn, after all earlier tasks. A turn runs tasks for a millisecond or, if that is longer, for as long as all
   * other work has taken since the last turn with tasks: they get half of a busy process, so that no task waits for ever.
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
