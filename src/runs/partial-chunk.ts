/** A part of a chunk that is longer than an entry: the `i`-th of `n`, from 0. */
export interface Part {
  readonly i: number
  readonly n: number
  readonly text: string
}

/** Puts a chunk together again from its parts. */
export class PartialChunk {
  #texts: string[] = []

  /** Takes the next part. @returns the chunk, if this was its last part and none is missing */
  take({ i, n, text }: Part): string | undefined {
    if (i === 0 || i !== this.#texts.length) this.clear()
    if (i !== this.#texts.length) return // its beginning was not read
    this.#texts.push(text)
    return this.#texts.length === n ? this.#texts.join('') : undefined
  }

  /** Forgets the parts: what follows is another chunk. */
  clear(): void {
    this.#texts = []
  }
}
