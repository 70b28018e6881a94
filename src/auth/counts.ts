import { AppError, type Code } from '../errors.ts'

/** Counts open streams or open bodies by a name, such as their address or their subject. */
export class OpenCounts {
  readonly #open = new Map<string, number>()
  readonly #code: Code
  readonly #purpose: string

  /** @param purpose follows "Cannot" in the error: `open a stream` */
  constructor(code: Code, purpose: string) {
    this.#code = code
    this.#purpose = purpose
  }

  /**
   * Counts another stream or body of a name, before it is open.
   *
   * @param whose follows "are open" in the error: `from your address`
   * @returns a function that removes it from the count, and may be called twice
   * @throws AppError with the code of the constructor, if `max` of this name are open
   */
  add(name: string, max: number, whose: string): () => void {
    const open = this.#open.get(name) ?? 0
    if (open >= max)
      throw new AppError(this.#code, `Cannot ${this.#purpose}: ${max} are open ${whose}, which is the most`, {
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
