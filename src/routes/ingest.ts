import type { Context } from 'hono'
import type { Grant } from '../auth/authorize.ts'
import { AppError } from '../errors.ts'
import type { Published } from '../hub/internal.ts'
import type { Message } from '../log/log.ts'
import { isOwn, parseTopic } from '../topic.ts'
import type { Door } from './door.ts'
import { INCOMPLETE, type Items } from './items.ts'
import { messageOf, withKey } from './message.ts'

/**
 * Items of one commit. Few, because 100 new topics block everything else for 2.5 ms (measured, SQLite). The size doubles after a
 * commit as slow as only a slow disk or a distant server makes it, where an fsync costs the same for any number of items. A busy hub
 * takes 5 ms and more, and larger groups would make it busier.
 */
const GROUP = { min: 32, max: 256 }
const SLOW_COMMIT_MS = 20

/** Who publishes a stream, and with which request. */
export interface Producer {
  readonly c: Context
  readonly grant: Grant
  /** The topic of the query. */
  readonly topic: string | undefined
  /** The `Idempotency-Key`: item n has the key `K/n`. */
  readonly key: string | undefined
}

/** How much of a stream was published. */
export interface Ingested {
  /** Items that are in the log, duplicates included. */
  readonly taken: number
  readonly duplicates?: number
  /** The stream ended inside an item, and nothing of the item was published. */
  readonly incomplete?: true
  readonly lastId: string | null
}

/**
 * Publishes the items of a stream while they arrive: items that arrived together are committed together. The stream is not read during
 * a commit, which slows its sender down to what the log can take.
 *
 * @throws AppError of the first item that is refused, or that arrived after the grant had become invalid, with `taken` and `lastId`:
 *   all items before it are in the log
 */
export async function ingest(door: Door, items: Items, producer: Producer): Promise<Ingested> {
  const { c, grant, topic } = producer
  let taken = 0
  let duplicates = 0
  let lastId: string | null = null
  const count = (published: readonly Published[]) => {
    taken += published.length
    duplicates += published.filter(({ duplicate }) => duplicate).length
    lastId = published.at(-1)?.id ?? lastId
  }
  const publish = async (messages: readonly Message[]) => count(await door.hub.publish(messages))
  let size = GROUP.min
  const publishInGroups = async (messages: readonly Message[]) => {
    for (let i = 0; i < messages.length; ) {
      const group = messages.slice(i, i + size)
      i += group.length
      await door.pace(c, group.length)
      await door.auth.assertValid(grant)
      const began = performance.now()
      await publish(group).catch(async (error) => {
        if (!isRefusal(error)) throw error
        for (const message of group) await publish([message]) // up to the refused one
      })
      const isSlow = performance.now() - began > SLOW_COMMIT_MS
      size = isSlow ? Math.min(2 * size, GROUP.max) : Math.max(size / 2, GROUP.min)
    }
  }
  try {
    // Each item is authorized when it arrives. A client that may publish nothing at all is refused before it sends.
    if (topic !== undefined) authorizePublish(door, grant, topic)
    else if (grant.publish.length === 0) door.authorize(grant, 'publish', '**')
    let index = 0
    let isIncomplete = false
    for await (const group of items) {
      const messages: Message[] = []
      isIncomplete = group.at(-1) === INCOMPLETE
      const complete = isIncomplete ? group.slice(0, -1) : group
      const refusal = firstRefusal(complete, (item) => messages.push(toMessage(door, item, producer, index++)))
      await publishInGroups(messages)
      if (refusal) throw refusal
    }
    return { taken, ...(duplicates > 0 && { duplicates }), ...(isIncomplete && { incomplete: true }), lastId }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw error.at(`item ${taken} of the stream`, { taken, lastId })
  }
}

/** Throws unless the grant allows to publish to a topic. The hub's own topics pass: `Hub.publish` refuses them to everybody. */
export function authorizePublish(door: Door, grant: Grant, topic: string): void {
  if (!isOwn(parseTopic(topic))) door.authorize(grant, 'publish', topic)
}

/** Calls `use` with each item until it throws, and returns the error. */
function firstRefusal<T>(items: readonly T[], use: (item: T) => void): unknown {
  try {
    for (const item of items) use(item)
  } catch (error) {
    return error
  }
  return
}

function toMessage(door: Door, item: unknown, { grant, topic, key }: Producer, index: number): Message {
  if (item instanceof AppError) throw item
  const message = messageOf(item, topic)
  authorizePublish(door, grant, message.topic)
  return withKey(message, key === undefined ? undefined : `${key}/${index}`)
}

/** Whether an error says for sure that nothing of a batch was appended. */
function isRefusal(error: unknown): boolean {
  return error instanceof AppError && error.status < 500
}
