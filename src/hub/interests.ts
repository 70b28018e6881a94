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

  /** Adds the groups that `topic` concerns to `found`. */
  concerned(topic: string, found: Set<Group>): void {
    for (const group of this.#exact.get(topic) ?? []) found.add(group)
    if (this.#root.isEmpty) return
    this.#root.collect(topic.split('/'), 0, found, !isOwn(topic))
  }

  /** Every group there is. */
  all(): Iterable<Group> {
    return this.#groups.values()
  }

  /** Readers of a topic now, whatever they gave to name it. */
  readers(topic: string): number {
    const found = new Set<Group>()
    this.concerned(topic, found)
    let readers = 0
    for (const { size } of found) readers += size
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

/** A segment of patterns, and what may follow it: words, `*` and `**` among them. */
class Branch {
  readonly #next = new Map<string, Branch>()
  readonly #groups = new Set<Group>()

  get isEmpty(): boolean {
    return this.#next.size === 0 && this.#groups.size === 0
  }

  add([segment, ...rest]: readonly string[], group: Group): void {
    if (segment === undefined) {
      this.#groups.add(group)
      return
    }
    const next = this.#next.get(segment) ?? new Branch()
    this.#next.set(segment, next)
    next.add(rest, group)
  }

  remove([segment, ...rest]: readonly string[], group: Group): void {
    if (segment === undefined) {
      this.#groups.delete(group)
      return
    }
    const next = this.#next.get(segment)
    next?.remove(rest, group)
    if (next?.isEmpty) this.#next.delete(segment)
  }

  /** @param wild whether wildcards apply to the segment at hand: not to the first one of a `$` topic */
  collect(topic: readonly string[], at: number, found: Set<Group>, wild = true): void {
    const segment = topic[at]
    if (segment === undefined) {
      for (const group of this.#groups) found.add(group)
      return
    }
    this.#next.get(segment)?.collect(topic, at + 1, found)
    if (!wild) return
    this.#next.get('*')?.collect(topic, at + 1, found)
    const rest = this.#next.get('**')
    if (rest) for (const group of rest.#groups) found.add(group)
  }
}
