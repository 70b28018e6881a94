import { isOwn } from '../topic.ts'
import type { Selection } from './window.ts'

/** Who is to be told that something is due. */
export interface Waiter {
  /** @param head the position up to which nothing was for it */
  wake(head: number): void
}

/** All readers of one selection: they share it and their wake-up. */
export class Group {
  readonly selection: Selection
  /** Those who have all there is. */
  readonly waiting = new Set<Waiter>()
  size = 0
  /** The last look that found it. */
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

let looks = 0

/** The groups that one look finds, each once: to mark them costs a fifth of asking a set, where many patterns of each fit (measured). */
class Found {
  readonly groups = new Set<Group>()
  readonly #look = ++looks

  add(groups: Iterable<Group>): void {
    for (const group of groups) {
      if (group.foundIn === this.#look) continue
      group.foundIn = this.#look
      this.groups.add(group)
    }
  }
}

/**
 * Which groups a topic concerns. Exact topics are found by a Map; patterns by a tree of their segments, of which only
 * branches that match so far are entered. Neither costs anything for readers of other topics.
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

  /** Every group there is. */
  all(): Iterable<Group> {
    return this.#groups.values()
  }

  /** Readers of a topic now, whatever they gave to name it. */
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

/** The filter's key is a JSON list, so a letter before it makes another name. */
function keyOf({ filter, latest }: Selection): string {
  return latest ? `latest${filter.key}` : filter.key
}

/** A segment of patterns, and what may follow it. */
class Branch {
  readonly #words = new Map<string, Branch>()
  #any: Branch | undefined
  /** Whose pattern ends here, and whose pattern goes on with `**`. */
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

  /** @param wild whether wildcards apply to the segment at hand: not to the first one of a `$` topic */
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
