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
 * Publishes the items of a stream while they arrive: items that arrived together are committed together. No item is parsed before the
 * group that it belongs to is committed next, so a sender is slowed down to the rate of its address and to what the log can take.
 *
 * @throws AppError of the first item that is refused, or that arrived after the grant had become invalid; `too_many_bodies`, `overloaded`,
 *   `stream_idle`, `stream_too_slow`, and `body_invalid` if the client has disconnected. Each has `taken` and `lastId`: all items before
 *   it are in the log
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
  const publishGroup = async (group: readonly Message[]) => {
    await door.pace(c, group.length, items.signal)
    await door.auth.assertValid(grant)
    items.signal.throwIfAborted()
    const began = performance.now()
    await publish(group).catch(async (error) => {
      if (!isRefusal(error)) throw error
      for (const message of group) await publish([message]) // up to the refused one
    })
    const isSlow = performance.now() - began > SLOW_COMMIT_MS
    size = isSlow ? Math.min(2 * size, GROUP.max) : Math.max(size / 2, GROUP.min)
  }
  let release = () => {}
  try {
    // Each item is authorized when it arrives. A client that may publish nothing at all is refused before it sends.
    if (topic !== undefined) authorizePublish(door, grant, topic)
    else if (grant.publish.length === 0) door.authorize(grant, 'publish', '**')
    release = door.countBody(c, grant)
    let index = 0
    const parse = (item: unknown) => toMessage(door, item, producer, index++)
    let isIncomplete = false
    for (let group = await nextGroup(items, size, parse); group; group = await nextGroup(items, size, parse)) {
      const { messages, refusal } = group
      isIncomplete = group.isIncomplete
      if (messages.length > 0) await publishGroup(messages)
      if (refusal) throw refusal
    }
    return { taken, ...(duplicates > 0 && { duplicates }), ...(isIncomplete && { incomplete: true }), lastId }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw error.at(`item ${taken} of the stream`, { taken, lastId })
  } finally {
    items.close()
    release()
  }
}

/** Throws unless the grant allows to publish to a topic. The hub's own topics pass: `Hub.publish` refuses them to everybody. */
export function authorizePublish(door: Door, grant: Grant, topic: string): void {
  if (!isOwn(parseTopic(topic))) door.authorize(grant, 'publish', topic)
}

interface Group {
  readonly messages: readonly Message[]
  /** The error of the first refused item; the items after it are not published. */
  readonly refusal?: unknown
  /** The body ended inside an item. */
  readonly isIncomplete: boolean
}

/** Makes messages of the next items. Only the messages outlive this: parsed items can be many times as large as their text. */
async function nextGroup(items: Items, size: number, parse: (item: unknown) => Message): Promise<Group | undefined> {
  const group = await items.next(size)
  if (!group) return
  const isIncomplete = group.at(-1) === INCOMPLETE
  const messages: Message[] = []
  try {
    for (const item of isIncomplete ? group.slice(0, -1) : group) messages.push(parse(item))
    return { messages, isIncomplete }
  } catch (refusal) {
    return { messages, refusal, isIncomplete }
  }
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
