/**
 * Warnings for the operator about a log that works: sentences by name, which `/ready` and the output of the process show. A warning is
 * written when it begins and when its sentence changes, and is not repeated while it lasts.
 */
export class Warnings {
  readonly #write: (sentence: string) => void
  readonly #current = new Map<string, string>()

  constructor(write: (sentence: string) => void = () => {}) {
    this.#write = write
  }

  /** The sentences of all present warnings. */
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
