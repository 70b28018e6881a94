import { isOwn } from '../topic.ts'
import type { Selection } from './window.ts'

/** A reader that waits for the next entry. */
export interface Waiter {
  /** @param head the position up to which nothing was for it */
  wake(head: number): void
}

/** All readers of one selection. They are woken together. */
export class Group {
  readonly selection: Selection
  /** Readers that have everything. */
  readonly waiting = new Set<Waiter>()
  size = 0
  /** The last search that found this group. */
  foundIn = 0

  constructor(selection: Selection) {
    this.selection = selection
  }

  wake(head: number): void {
    if (this.waiting.size === 0) return
    const woken = [...this.waiting]
    this.waiting.clear()
    for (const waiter of woken) waiter.wake(head)
  }
}

let searches = 0

/** The groups that one search finds, each once. A mark on the group costs a fifth of a set where many patterns of each match (measured). */
class Found {
  readonly groups = new Set<Group>()
  readonly #search = ++searches

  add(groups: Iterable<Group>): void {
    for (const group of groups) {
      if (group.foundIn === this.#search) continue
      group.foundIn = this.#search
      this.groups.add(group)
    }
  }
}

/**
 * Finds the groups that a topic concerns: by a Map for exact topics, by a tree of segments for patterns, of which a search enters only
 * the branches that match so far. Readers of other topics cost nothing.
 */
export class Interests {
  readonly #groups = new Map<string, Group>()
  readonly #exact = new Map<string, Set<Group>>()
  readonly #root = new Branch()

  join(selection: Selection): Group {
    const group = this.#groups.get(keyOf(selection)) ?? this.#open(selection)
    group.size++
    return group
  }

  leave(group: Group): void {
    group.size--
    if (group.size > 0) return
    const { topics, patterns } = group.selection.filter
    this.#groups.delete(keyOf(group.selection))
    for (const topic of topics) {
      const groups = this.#exact.get(topic)
      groups?.delete(group)
      if (groups?.size === 0) this.#exact.delete(topic)
    }
    for (const pattern of patterns) this.#root.remove(pattern.split('/'), group)
  }

  /** The groups that any of the topics concerns. */
  concerned(topics: Iterable<string>): Set<Group> {
    const found = new Found()
    for (const topic of topics) {
      const groups = this.#exact.get(topic)
      if (groups) found.add(groups)
      if (!this.#root.isEmpty) this.#root.collect(topic.split('/'), 0, found, !isOwn(topic))
    }
    return found.groups
  }

  /** Every group. */
  all(): Iterable<Group> {
    return this.#groups.values()
  }

  /** How many readers a topic concerns, by its name or by a pattern. */
  readers(topic: string): number {
    let readers = 0
    for (const { size } of this.concerned([topic])) readers += size
    return readers
  }

  #open(selection: Selection): Group {
    const group = new Group(selection)
    const { filter } = selection
    this.#groups.set(keyOf(selection), group)
    for (const topic of filter.topics) {
      const groups = this.#exact.get(topic)
      if (groups) groups.add(group)
      else this.#exact.set(topic, new Set([group]))
    }
    for (const pattern of filter.patterns) this.#root.add(pattern.split('/'), group)
    return group
  }
}

/** A filter's key is a JSON list, so no other filter has a key that starts with a letter. */
function keyOf({ filter, latest }: Selection): string {
  return latest ? `latest${filter.key}` : filter.key
}

/** A segment of patterns, and the segments that may follow it. */
class Branch {
  readonly #words = new Map<string, Branch>()
  #any: Branch | undefined
  /** Groups with a pattern that ends here, and those with one that goes on with `**`. */
  readonly #ends = new Set<Group>()
  readonly #rest = new Set<Group>()

  get isEmpty(): boolean {
    return this.#words.size === 0 && this.#any === undefined && this.#ends.size === 0 && this.#rest.size === 0
  }

  add([segment, ...rest]: readonly string[], group: Group): void {
    if (segment === undefined) this.#ends.add(group)
    else if (segment === '**') this.#rest.add(group)
    else this.#open(segment).add(rest, group)
  }

  remove([segment, ...rest]: readonly string[], group: Group): void {
    if (segment === undefined) this.#ends.delete(group)
    else if (segment === '**') this.#rest.delete(group)
    else {
      const next = segment === '*' ? this.#any : this.#words.get(segment)
      next?.remove(rest, group)
      if (!next?.isEmpty) return
      if (segment === '*') this.#any = undefined
      else this.#words.delete(segment)
    }
  }

  /** @param wild whether wildcards match this segment: they do not match the first one of a `$` topic */
  collect(topic: readonly string[], at: number, found: Found, wild = true): void {
    if (at === topic.length) {
      found.add(this.#ends)
      return
    }
    this.#words.get(topic[at]!)?.collect(topic, at + 1, found)
    if (!wild) return
    this.#any?.collect(topic, at + 1, found)
    found.add(this.#rest)
  }

  #open(segment: string): Branch {
    if (segment === '*') {
      this.#any ??= new Branch()
      return this.#any
    }
    const next = this.#words.get(segment) ?? new Branch()
    this.#words.set(segment, next)
    return next
  }
}
