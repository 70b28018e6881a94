/** Fewer are not worth a copy of the rest. */
const MIN_HOLES = 32

/** Things that have a seq, in its order: added at the end, mostly taken out at or near the start, found by halving. */
export class Sequence<T extends { readonly seq: number }> {
  #list: (T | undefined)[]
  /** Index of the oldest: before it are holes. */
  #start = 0

  constructor(items: readonly T[] = []) {
    this.#list = [...items]
  }

  get size(): number {
    return this.#list.length - this.#start
  }

  /** The newest, or one so many places before it. */
  last(before = 0): T | undefined {
    return this.#list.at(-1 - before)
  }

  get(seq: number): T | undefined {
    const found = this.#list[this.#find(seq)]
    return found?.seq === seq ? found : undefined
  }

  /** Adds one whose seq is higher than all that are there. */
  push(item: T): void {
    this.#list.push(item)
  }

  /** Adds one whose seq no other has, anywhere: it costs the number of those after it. */
  insert(item: T): void {
    this.#list.splice(this.#find(item.seq), 0, item)
  }

  /** Takes the oldest out. */
  shift(): T {
    const oldest = this.#list[this.#start]!
    this.#list[this.#start++] = undefined
    this.#compact()
    return oldest
  }

  /** Takes out the one of a seq that is there; closes the hole from the nearer side, so that one that stays at the start is not dear. */
  remove(seq: number): void {
    const at = this.#list[this.#start]?.seq === seq ? this.#start : this.#find(seq)
    if (at - this.#start > this.#list.length - at) {
      this.#list.splice(at, 1)
      return
    }
    this.#list.copyWithin(this.#start + 1, this.#start, at)
    this.shift()
  }

  /** Puts another in the place of the one of its seq. */
  replace(item: T): void {
    this.#list[this.#find(item.seq)] = item
  }

  /** Those after a seq, oldest first. */
  *after(seq: number): Generator<T, void, undefined> {
    for (let i = this.#find(seq + 1); i < this.#list.length; i++) yield this.#list[i]!
  }

  /** The first ones after a seq, oldest first. */
  firstAfter(seq: number, limit: number): readonly T[] {
    const from = this.#find(seq + 1)
    return this.#list.slice(from, from + limit) as T[]
  }

  /** The last ones before a seq, newest first. */
  lastBefore(seq: number, limit: number): readonly T[] {
    const to = this.#find(seq)
    return this.#list.slice(Math.max(this.#start, to - limit), to).reverse() as T[]
  }

  /** Index of the first whose seq is not less. */
  #find(seq: number): number {
    let low = this.#start
    let high = this.#list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#list[middle]!.seq < seq) low = middle + 1
      else high = middle
    }
    return low
  }

  /** When there are more holes than items, which is seldom enough to cost nothing. */
  #compact(): void {
    if (this.size > 0 && (this.#start < MIN_HOLES || this.#start < this.size)) return
    this.#list = this.#list.slice(this.#start)
    this.#start = 0
  }
}
