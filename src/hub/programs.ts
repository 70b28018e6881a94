import type { Filter } from '../topic.ts'
import { type Group, Interests } from './interests.ts'

/** The iterations that wait for their next entry. They are no readers: limits, counts and heartbeats do not concern them. */
export class Programs {
  readonly #interests = new Interests()
  #isClosed = false

  get isClosed(): boolean {
    return this.#isClosed
  }

  join(filter: Filter): Group {
    return this.#interests.join({ filter, latest: false, envelope: false, control: true })
  }

  leave(group: Group): void {
    this.#interests.leave(group)
  }

  /** Wakes the iterations that topics concern; all of them, if entries are missing. @param before the head before these entries */
  wake(topics: Iterable<string>, before: number, isWhole: boolean): void {
    if (this.#interests.isEmpty) return
    for (const group of isWhole ? this.#interests.concerned(topics) : this.#interests.all()) group.wake(before)
  }

  /** Wakes every iteration: the log was replaced. */
  wakeAll(): void {
    for (const group of this.#interests.all()) group.wake(0)
  }

  close(): void {
    this.#isClosed = true
    this.wakeAll()
  }
}
