/** With fewer holes, the list is not copied. */
const MIN_HOLES = 32

/** Items in the order of their seq: mostly added at the end and removed near the start, found by binary search. */
export class Sequence<T extends { readonly seq: number }> {
  #list: (T | undefined)[]
  /** Index of the oldest item, after holes. */
  #start = 0

  constructor(items: readonly T[] = []) {
    this.#list = [...items]
  }

  get size(): number {
    return this.#list.length - this.#start
  }

  /** The newest item; with `before`, the item that many places before the newest. */
  last(before = 0): T | undefined {
    return this.#list.at(-1 - before)
  }

  get(seq: number): T | undefined {
    const found = this.#list[this.#find(seq)]
    return found?.seq === seq ? found : undefined
  }

  /** Adds an item with the highest seq so far. */
  push(item: T): void {
    this.#list.push(item)
  }

  /** Adds an item with a new seq at its place in the order. The cost is the number of items with a higher seq. */
  insert(item: T): void {
    this.#list.splice(this.#find(item.seq), 0, item)
  }

  /** Removes and returns the oldest item. */
  shift(): T {
    const oldest = this.#list[this.#start]!
    this.#list[this.#start++] = undefined
    this.#compact()
    return oldest
  }

  /** Removes an item that must exist. Moves the fewer items, before or after it, so items that stay at the start for long cost little. */
  remove(seq: number): void {
    const at = this.#list[this.#start]?.seq === seq ? this.#start : this.#find(seq)
    if (at - this.#start > this.#list.length - at) {
      this.#list.splice(at, 1)
      return
    }
    this.#list.copyWithin(this.#start + 1, this.#start, at)
    this.shift()
  }

  /** Replaces the item of the same seq. */
  replace(item: T): void {
    this.#list[this.#find(item.seq)] = item
  }

  /** Items after a seq, oldest first. */
  *after(seq: number): Generator<T, void, undefined> {
    for (let i = this.#find(seq + 1); i < this.#list.length; i++) yield this.#list[i]!
  }

  /** The first items after a seq, oldest first. */
  firstAfter(seq: number, limit: number): readonly T[] {
    const from = this.#find(seq + 1)
    return this.#list.slice(from, from + limit) as T[]
  }

  /** The last items before a seq, newest first. */
  lastBefore(seq: number, limit: number): readonly T[] {
    const to = this.#find(seq)
    return this.#list.slice(Math.max(this.#start, to - limit), to).reverse() as T[]
  }

  /** Index of the first item with this seq or a higher seq. */
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

  /** Copies the items, without the holes before them, once there are at least as many holes as items. This is seldom. */
  #compact(): void {
    if (this.size > 0 && (this.#start < MIN_HOLES || this.#start < this.size)) return
    this.#list = this.#list.slice(this.#start)
    this.#start = 0
  }
}
