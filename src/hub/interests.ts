import { isOwn } from '../topic.ts'
import { keyOfForm } from './frame.ts'
import type { Selection } from './window.ts'

/** A reader that waits for the next entry. */
export interface Waiter {
  /** @param head the position up to which no entry was for this reader */
  wake(head: number): void
}

/** All readers with the same selection. They are woken together. */
export class Group {
  readonly selection: Selection
  /** The readers that have got every entry and wait for the next one. */
  readonly waiting = new Set<Waiter>()
  size = 0
  /** The number of the last search that found this group. */
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

/** The groups that one search finds, each once. If many patterns of a group match, `foundIn` costs a fifth of a Set alone (measured). */
class Found {
  readonly groups = new Set<Group>()
  readonly #search = ++searches

  add(some: Some): void {
    if (some instanceof Set) for (const group of some) this.#addOne(group)
    else if (some) this.#addOne(some)
  }

  #addOne(group: Group): void {
    if (group.foundIn === this.#search) return
    group.foundIn = this.#search
    this.groups.add(group)
  }
}

/**
 * Finds the groups that a topic concerns: in a Map for exact topics, in a tree of segments for patterns. A search enters only the branches
 * of the tree that match so far. Readers of other topics cost nothing.
 */
export class Interests {
  readonly #groups = new Map<string, Group>()
  readonly #exact = new Map<string, Group | Set<Group>>()
  readonly #root = new Branch()

  get isEmpty(): boolean {
    return this.#groups.size === 0
  }

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
      const left = withoutGroup(this.#exact.get(topic), group)
      if (left === undefined) this.#exact.delete(topic)
      else this.#exact.set(topic, left)
    }
    for (const pattern of patterns) this.#root.remove(pattern.split('/'), group)
  }

  /** The groups that at least one of the topics concerns. */
  concerned(topics: Iterable<string>): Set<Group> {
    const found = new Found()
    for (const topic of topics) {
      found.add(this.#exact.get(topic))
      if (!this.#root.isEmpty) this.#root.collect(topic.split('/'), 0, found, !isOwn(topic))
    }
    return found.groups
  }

  /** Every group. */
  all(): Iterable<Group> {
    return this.#groups.values()
  }

  /** How many readers get a topic, by its name or by a pattern. */
  readers(topic: string): number {
    let readers = 0
    for (const { size } of this.concerned([topic])) readers += size
    return readers
  }

  #open(selection: Selection): Group {
    const group = new Group(selection)
    const { filter } = selection
    this.#groups.set(keyOf(selection), group)
    for (const topic of filter.topics) this.#exact.set(topic, withGroup(this.#exact.get(topic), group)!)
    for (const pattern of filter.patterns) this.#root.add(pattern.split('/'), group)
    return group
  }
}

/** The key of a selection. A filter's key is a JSON list, so it begins with none of the words before it. */
function keyOf(selection: Selection): string {
  const { filter, latest } = selection
  return `${latest ? 'latest' : ''}${keyOfForm(selection)}${filter.key}`
}

/** No group, one group or several. Most topics have one group, for which a Set would take more memory than everything else. */
type Some = Group | Set<Group> | undefined

function withGroup(some: Some, group: Group): Some {
  if (some === undefined || some === group) return group
  return some instanceof Set ? some.add(group) : new Set([some, group])
}

function withoutGroup(some: Some, group: Group): Some {
  if (some === group) return undefined
  if (some instanceof Set && some.delete(group) && some.size === 0) return undefined
  return some
}

/** A segment of patterns, and the segments that may follow it. There are many branches, so each creates only the fields that it needs. */
class Branch {
  /** `#word` and `#next` are the word that follows and its branch while there is one word. From two words on, `#words` holds all. */
  #word: string | undefined
  #next: Branch | undefined
  #words: Map<string, Branch> | undefined
  #any: Branch | undefined
  /** `#ends`: groups with a pattern that ends here. `#rest`: groups with a pattern that continues with `**`. */
  #ends: Some
  #rest: Some

  get isEmpty(): boolean {
    return (
      this.#next === undefined &&
      this.#words === undefined &&
      this.#any === undefined &&
      this.#ends === undefined &&
      this.#rest === undefined
    )
  }

  add([segment, ...rest]: readonly string[], group: Group): void {
    if (segment === undefined) this.#ends = withGroup(this.#ends, group)
    else if (segment === '**') this.#rest = withGroup(this.#rest, group)
    else this.#open(segment).add(rest, group)
  }

  remove([segment, ...rest]: readonly string[], group: Group): void {
    if (segment === undefined) this.#ends = withoutGroup(this.#ends, group)
    else if (segment === '**') this.#rest = withoutGroup(this.#rest, group)
    else {
      const next = segment === '*' ? this.#any : this.#get(segment)
      next?.remove(rest, group)
      if (!next?.isEmpty) return
      if (segment === '*') this.#any = undefined
      else this.#close(segment)
    }
  }

  /** Adds the groups that match. @param wild whether wildcards match this segment; they never match the first segment of a `$` topic */
  collect(topic: readonly string[], at: number, found: Found, wild = true): void {
    if (at === topic.length) {
      found.add(this.#ends)
      return
    }
    this.#get(topic[at]!)?.collect(topic, at + 1, found)
    if (!wild) return
    this.#any?.collect(topic, at + 1, found)
    found.add(this.#rest)
  }

  #open(segment: string): Branch {
    if (segment === '*') {
      this.#any ??= new Branch()
      return this.#any
    }
    const known = this.#get(segment)
    if (known) return known
    const next = new Branch()
    if (this.#words) this.#words.set(segment, next)
    else if (this.#next) {
      this.#words = new Map([
        [this.#word!, this.#next],
        [segment, next],
      ])
      this.#word = this.#next = undefined
    } else {
      this.#word = segment
      this.#next = next
    }
    return next
  }

  #get(word: string): Branch | undefined {
    return this.#words ? this.#words.get(word) : this.#word === word ? this.#next : undefined
  }

  #close(word: string): void {
    if (!this.#words) this.#word = this.#next = undefined
    else if (this.#words.delete(word) && this.#words.size === 0) this.#words = undefined
  }
}
