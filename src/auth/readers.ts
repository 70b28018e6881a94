import { AppError } from '../errors.ts'

/** Counts open streams by address or by subject. */
export class Readers {
  readonly #open = new Map<string, number>()

  /**
   * Counts a stream, before it is open.
   *
   * @param whose follows "are open" in the error: `from your address`
   * @returns a function that removes the stream from the count, and may be called twice
   * @throws AppError `too_many_readers` if `max` streams of that name are open
   */
  add(name: string, max: number, whose: string): () => void {
    const open = this.#open.get(name) ?? 0
    if (open >= max)
      throw new AppError('too_many_readers', `Cannot open a stream: ${max} are open ${whose}, which is the most`, {
        retryAfterS: 5,
      })
    this.#open.set(name, open + 1)
    let isCounted = true
    return () => {
      if (!isCounted) return
      isCounted = false
      const left = this.#open.get(name)! - 1
      if (left > 0) this.#open.set(name, left)
      else this.#open.delete(name)
    }
  }
}
