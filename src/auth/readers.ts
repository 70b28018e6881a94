import { AppError } from '../errors.ts'

/** Open streams, counted by what they are open from or by: an address, a subject. */
export class Readers {
  readonly #open = new Map<string, number>()

  /**
   * Counts a stream in, before it is open, and out with what it returns, which may be called twice.
   *
   * @param whose for the reader, after "are open": `from your address`
   * @throws AppError `too_many_readers` if there are as many of that name as there may be
   */
  enter(name: string, max: number, whose: string): () => void {
    const open = this.#open.get(name) ?? 0
    if (open >= max)
      throw new AppError('too_many_readers', `Cannot open a stream: ${max} are open ${whose}, which is the most`, {
        retryAfterS: 5,
      })
    this.#open.set(name, open + 1)
    let isIn = true
    return () => {
      if (!isIn) return
      isIn = false
      const left = this.#open.get(name)! - 1
      if (left > 0) this.#open.set(name, left)
      else this.#open.delete(name)
    }
  }
}
