/** A list that grows longer than this is split in two, so that an insertion moves at most this many names. */
const MAX_LIST = 512

/** Sorted names. Adding a name, removing one and finding a page cost about the same for any number of names. */
export class SortedNames {
  /** Sorted lists of names, in order. No list is empty. */
  readonly #lists: string[][] = []

  add(name: string): void {
    const at = this.#listOf(name)
    const list = this.#lists[at]
    if (!list) {
      this.#lists.push([name])
      return
    }
    const index = indexOf(list, name)
    if (list[index] === name) return
    list.splice(index, 0, name)
    if (list.length > MAX_LIST) this.#lists.splice(at + 1, 0, list.splice(MAX_LIST / 2))
  }

  delete(name: string): void {
    const at = this.#listOf(name)
    const list = this.#lists[at]
    const index = list ? indexOf(list, name) : -1
    if (!list || list[index] !== name) return
    list.splice(index, 1)
    if (list.length === 0) this.#lists.splice(at, 1)
  }

  /** The first `limit` names that begin with `prefix` and come after `after`. */
  page(prefix: string, after: string, limit: number): string[] {
    const found: string[] = []
    const from = after < prefix ? prefix : after
    for (let at = this.#listOf(from); at < this.#lists.length; at++) {
      const list = this.#lists[at]!
      for (let i = found.length > 0 ? 0 : indexOf(list, from); i < list.length; i++) {
        const name = list[i]!
        if (name <= after) continue
        if (found.length === limit || !name.startsWith(prefix)) return found
        found.push(name)
      }
    }
    return found
  }

  /** Index of the last list whose first name is `name` or comes before it; 0 if there is no such list. */
  #listOf(name: string): number {
    let low = 0
    let high = this.#lists.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#lists[middle]![0]! <= name) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }
}

/** Index of the first element of a sorted list that is `name` or comes after it. */
function indexOf(list: readonly string[], name: string): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (list[middle]! < name) low = middle + 1
    else high = middle
  }
  return low
}
