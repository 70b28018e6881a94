import { OpenCounts } from './counts.ts'

/** How many streamed bodies may be read at once. */
export interface BodyCounts {
  readonly max: number
  /** Missing: no limit for an address. */
  readonly maxPerAddress?: number
  /** For one token subject or API key. */
  readonly maxPerToken: number
}

/**
 * Counts the streamed bodies that are being read. Their limits are separate from those of readers: a hub that is full of readers still
 * takes messages, and a body holds more memory than a reader.
 */
export class Bodies {
  readonly #counts: BodyCounts
  readonly #open = new OpenCounts('too_many_bodies', 'read another streamed body')

  constructor(counts: BodyCounts) {
    this.#counts = counts
  }

  get limitsAddresses(): boolean {
    return this.#counts.maxPerAddress !== undefined
  }

  /**
   * Counts a body before it is read.
   *
   * @param owner names the subject of a token or the API key
   * @returns a function that removes it from the counts, and may be called twice
   * @throws AppError `too_many_bodies`
   */
  add(address: string | undefined, owner: string | undefined): () => void {
    const { max, maxPerAddress, maxPerToken } = this.#counts
    const releases: (() => void)[] = []
    const release = () => {
      for (const releaseCount of releases) releaseCount()
    }
    try {
      if (address !== undefined && maxPerAddress !== undefined)
        releases.push(this.#open.add(`address ${address}`, maxPerAddress, 'from your address'))
      if (owner !== undefined) releases.push(this.#open.add(`owner ${owner}`, maxPerToken, 'by this grant'))
      releases.push(this.#open.add('all', max, 'in all'))
      return release
    } catch (cause) {
      release()
      throw cause
    }
  }
}
