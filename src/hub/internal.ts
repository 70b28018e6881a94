import { AppError } from '../errors.ts'
import type { Entry, Message } from '../log/log.ts'
import type { ReadableLog } from './log-reader.ts'
import { randomName } from './random.ts'

/** Between attempts to read the topics of a log that was replaced. */
const AGAIN_MS = 500

interface Observer {
  readonly prefix: string
  readonly onEntry: (entry: Entry) => void
}

/** A published message's place. */
export interface Published {
  /** Its position: the `id` that readers get. */
  readonly id: string
  /** The key was known: this is the position of the message that was published first. */
  readonly duplicate: boolean
}

type Append = (messages: readonly Message[]) => Promise<readonly Published[]>

/** The hub's own topics (`$…`), which hold what the hub must remember: revocations, used tickets, secrets. */
export class InternalTopics {
  readonly #opened: () => Promise<ReadableLog>
  readonly #append: Append
  readonly #observers: Observer[] = []

  constructor(opened: () => Promise<ReadableLog>, append: Append) {
    this.#opened = opened
    this.#append = append
  }

  /** Publishes to an internal topic. With a key, once for all nodes. */
  async publish(topic: string, data: string, key?: string): Promise<Published> {
    const [published] = await this.#append([{ topic, data, ...(key !== undefined && { key }) }])
    return published!
  }

  /** Deletes all entries of an internal topic. */
  async forget(topic: string): Promise<void> {
    await (await this.#opened()).log.erase(topic)
  }

  /** A random text that the hub makes once under a name and keeps in its log. No client may subscribe to it. */
  async secret(name: string): Promise<string> {
    const { logReader } = await this.#opened()
    const topic = `$secrets/${name}`
    const kept = await logReader.newest(topic)
    if (kept) return kept.data!
    // Of two nodes that make one at the same time, the second one gets `key_conflict` and uses what the first one made.
    await this.publish(topic, randomName() + randomName(), name).catch((error) => {
      if (!(error instanceof AppError && error.code === 'key_conflict')) throw error
    })
    return (await logReader.newest(topic))!.data!
  }

  /**
   * Calls `onEntry` with the newest entry of each internal topic with a prefix, and with every later one. Resolves when the newest ones
   * have been delivered; rejects if they cannot be read, and then calls no more.
   */
  async observe(prefix: string, onEntry: (entry: Entry) => void): Promise<void> {
    const observer = { prefix, onEntry }
    this.#observers.push(observer)
    await this.#deliverNewest(observer).catch((cause) => {
      this.#observers.splice(this.#observers.indexOf(observer), 1)
      throw cause
    })
  }

  /** Delivers an entry to the observers of its topic. */
  deliver(entry: Entry): void {
    for (const { prefix, onEntry } of this.#observers) if (entry.topic.startsWith(prefix)) onEntry(entry)
  }

  /** Delivers the entries of a new log as soon as they can be read. @param isCurrent whether the hub still follows that log */
  deliverAgain(isCurrent: () => boolean): void {
    for (const observer of this.#observers) void this.#retry(observer, isCurrent)
  }

  async #retry(observer: Observer, isCurrent: () => boolean): Promise<void> {
    while (isCurrent()) {
      const isDelivered = await this.#deliverNewest(observer).then(
        () => true,
        () => false,
      )
      if (isDelivered) return
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }

  async #deliverNewest({ prefix, onEntry }: Observer): Promise<void> {
    const { logReader } = await this.#opened()
    for await (const page of logReader.pagesOfTopics(prefix))
      for (const { topic } of page) {
        const entry = await logReader.newest(topic)
        if (entry) onEntry(entry)
      }
  }
}
