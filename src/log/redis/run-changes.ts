import { fieldsOf, type StreamElement } from './rows.ts'

/** What a script has announced to all nodes: the id of its element in `:wire`, and the topics whose runs have changed; or nothing. */
export type Announced = readonly [id: string, ...topics: string[]] | readonly []

/** Most announcements that are remembered. */
const MAX_HEARD = 1000

/**
 * Tells watchers whose runs have changed. A change of this node arrives twice: in the reply of the script, and with the elements of
 * `:wire`, which also bring the changes of other nodes.
 */
export class RunChanges {
  readonly #watchers: ((topic: string) => void)[] = []
  /** The ids of the latest announcements. */
  readonly #heard = new Set<string>()

  watch(changed: (topic: string) => void): void {
    this.#watchers.push(changed)
  }

  /** Handles elements of `:wire` that the tail has read. */
  receive(elements: readonly StreamElement[]): void {
    for (const [id, fields] of elements) {
      const { k, text } = fieldsOf(fields)
      if (k === 'run') this.hear([id, ...(JSON.parse(text!) as string[])])
    }
  }

  hear([id, ...topics]: Announced): void {
    if (id === undefined || this.#heard.has(id)) return
    this.#heard.add(id)
    for (const oldest of this.#heard) {
      if (this.#heard.size <= MAX_HEARD) break
      this.#heard.delete(oldest)
    }
    for (const topic of topics) for (const changed of this.#watchers) changed(topic)
  }
}
