/** How many of something each of many has at once. */
export class Counts {
  readonly #counts = new Map<string, number>()

  of(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  /** Counts one in, and out with what it returns, which may be called twice. */
  enter(name: string): () => void {
    this.#counts.set(name, this.of(name) + 1)
    let isIn = true
    return () => {
      if (!isIn) return
      isIn = false
      const left = this.of(name) - 1
      if (left > 0) this.#counts.set(name, left)
      else this.#counts.delete(name)
    }
  }
}
