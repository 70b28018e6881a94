const GROWTH = 1.02
const SMALLEST_MS = 0.01

/** Times, to within two per cent, at a constant cost for any number. */
export class Histogram {
  readonly #counts = new Map<number, number>()
  #all = 0

  add(ms: number): void {
    const slot = Math.round(Math.log(Math.max(ms, SMALLEST_MS) / SMALLEST_MS) / Math.log(GROWTH))
    this.#counts.set(slot, (this.#counts.get(slot) ?? 0) + 1)
    this.#all++
  }

  /** The time below which this share of all times lies, in ms; NaN if there are none. */
  quantile(share: number): number {
    let left = share * this.#all
    for (const slot of [...this.#counts.keys()].sort((a, b) => a - b)) {
      left -= this.#counts.get(slot)!
      if (left <= 0) return SMALLEST_MS * GROWTH ** slot
    }
    return Number.NaN
  }
}
