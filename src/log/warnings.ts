/**
 * Warnings to the operator about a log that works, for `/ready` and the log of the process: sentences by name. A warning is written when
 * it begins and when its sentence changes, not again while it lasts.
 */
export class Warnings {
  readonly #write: (sentence: string) => void
  readonly #current = new Map<string, string>()

  constructor(write: (sentence: string) => void = () => {}) {
    this.#write = write
  }

  /** The sentences of the warnings that hold now. */
  get list(): readonly string[] {
    return [...this.#current.values()]
  }

  /** Begins or changes a warning; `undefined` ends it. */
  set(name: string, sentence: string | undefined): void {
    if (sentence === this.#current.get(name)) return
    if (sentence === undefined) {
      this.#current.delete(name)
      return
    }
    this.#current.set(name, sentence)
    this.#write(sentence)
  }
}
