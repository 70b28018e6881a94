import { whenGone } from '../client-gone.ts'

/** Keeps a queue for each name, and lets the callers of a queue in one at a time, in order. */
export class Queues {
  /** Resolves when the last caller of a name and all before it have left. */
  readonly #lasts = new Map<string, Promise<void>>()

  /**
   * Resolves when all earlier callers of this name have left.
   *
   * @returns a function that lets the next caller in
   * @throws the reason of the signal, if it aborts while the caller waits; the caller has then left the queue
   */
  async enter(name: string, signal?: AbortSignal): Promise<() => void> {
    const before = this.#lasts.get(name)
    const { promise, resolve: leave } = Promise.withResolvers<void>()
    const last = before ? before.then(() => promise) : promise
    this.#lasts.set(name, last)
    void last.then(() => {
      if (this.#lasts.get(name) === last) this.#lasts.delete(name)
    })
    try {
      if (before) await abortable(before, signal)
      return leave
    } catch (reason) {
      leave()
      throw reason
    }
  }
}

/** Waits for a promise that never rejects. @throws the reason of the signal, if it aborts earlier */
function abortable(wait: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return wait
  return new Promise((resolve, reject) => {
    const stopListening = whenGone(signal, () => reject(signal.reason))
    void wait.then(() => {
      stopListening()
      resolve()
    })
  })
}

/** Resolves after `ms`. @throws the reason of the signal, if it aborts earlier */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  return abortable(promise, signal).finally(() => clearTimeout(timer))
}
