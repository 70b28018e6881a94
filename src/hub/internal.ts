import { AppError } from '../errors.ts'
import type { Entry, Message } from '../log/log.ts'
import type { ReadableLog } from './log-reader.ts'
import { randomName } from './random.ts'

/** Time in ms between attempts to read the internal topics after the log was replaced. */
const AGAIN_MS = 500

interface Observer {
  readonly prefix: string
  readonly onEntry: (entry: Entry) => void
}

/**
 * The position of a published message.
 *
 * @example
 * const { id, duplicate }: Published = await hub.publish({ topic: 'orders/7', data: 'paid', key: 'paid-7' })
 */
export interface Published {
  /** The position, which readers get as `id`. */
  readonly id: string
  /** Whether the topic already knew the key. `id` is then the position of the first message with this key. */
  readonly duplicate: boolean
}

type Append = (messages: readonly Message[]) => Promise<readonly Published[]>

/** The hub's own topics (`$…`), which keep what the hub must remember: revocations, used tickets, secrets. */
export class InternalTopics {
  readonly #opened: () => Promise<ReadableLog>
  readonly #append: Append
  readonly #observers: Observer[] = []

  constructor(opened: () => Promise<ReadableLog>, append: Append) {
    this.#opened = opened
    this.#append = append
  }

  /** Publishes to an internal topic. If several nodes publish with the same key, only the first message is kept. */
  async publish(topic: string, data: string, key?: string): Promise<Published> {
    const [published] = await this.#append([{ topic, data, ...(key !== undefined && { key }) }])
    return published!
  }

  /** Deletes all entries of an internal topic. */
  async forget(topic: string): Promise<void> {
    await (await this.#opened()).log.erase(topic)
  }

  /** The secret with a name: a random text that the hub makes once and keeps in its log, in a topic that no client may subscribe to. */
  async secret(name: string): Promise<string> {
    const { logReader } = await this.#opened()
    const topic = `$secrets/${name}`
    const kept = await logReader.newest(topic)
    if (kept) return kept.data!
    // If two nodes make the secret at the same time, the second gets `key_conflict` and uses the secret of the first.
    await this.publish(topic, randomName() + randomName(), name).catch((error) => {
      if (!(error instanceof AppError && error.code === 'key_conflict')) throw error
    })
    return (await logReader.newest(topic))!.data!
  }

  /**
   * Calls `onEntry` with the newest entry of each internal topic that begins with a prefix, and with every later entry. Resolves when the
   * newest entries have been delivered. If they cannot be read, rejects and does not call `onEntry` again.
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

  /** Delivers the newest entries of a new log, and retries until they can be read. @param isCurrent whether the hub still uses the log */
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
