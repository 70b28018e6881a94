interface Due<Item> {
  readonly at: number
  readonly item: Item
}

/** Items in the order of their times, as a binary heap. */
export class DueQueue<Item> {
  readonly #heap: Due<Item>[] = []

  /** The earliest time; infinity if there is none. */
  get next(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  add(at: number, item: Item): void {
    const heap = this.#heap
    let i = heap.length
    for (let up = (i - 1) >> 1; i > 0 && heap[up]!.at > at; up = (i - 1) >> 1) {
      heap[i] = heap[up]!
      i = up
    }
    heap[i] = { at, item }
  }

  /** Removes the earliest item and returns it, if its time has come. */
  take(now: number): Item | undefined {
    const heap = this.#heap
    if (this.next > now) return
    const { item } = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(last)
    return item
  }

  /** Puts an element at the top, and moves it down to its place. */
  #sink(due: Due<Item>): void {
    const heap = this.#heap
    let i = 0
    for (let down = 1; down < heap.length; down = 2 * i + 1) {
      if (down + 1 < heap.length && heap[down + 1]!.at < heap[down]!.at) down++
      if (heap[down]!.at >= due.at) break
      heap[i] = heap[down]!
      i = down
    }
    heap[i] = due
  }
}
