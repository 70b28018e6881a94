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
 * Fewest and most items of one commit.
 *
 * - Commits are small, because 100 new topics block all other work for 2.5 ms (measured, SQLite).
 * - The size doubles after a commit of more than `SLOW_COMMIT_MS`, which only a slow disk or a distant server takes: an fsync there costs
 *   the same for any number of items. It halves after a faster commit.
 * - A busy hub takes 5 ms and more for a commit, and larger groups would make it busier.
 */
const GROUP = { min: 32, max: 256 }
const SLOW_COMMIT_MS = 20

/** The request that publishes a streamed body, and its client's grant. */
export interface Producer {
  readonly c: Context
  readonly grant: Grant
  /** The topic that the query names. */
  readonly topic: string | undefined
  /** The `Idempotency-Key` K: item n gets the key `K/n`. */
  readonly key: string | undefined
  /** The token of the run that the items belong to. */
  readonly run?: string | undefined
  /** The data of the event that ends the run; undefined for a body of NDJSON, where an item with `close` does. */
  readonly done?: string | undefined
}

/** How much of a streamed body is in the log. */
export interface Progress {
  /** Items that are in the log, duplicates included. */
  readonly taken: number
  readonly lastId: string | null
}

/** How much of a streamed body was published. */
export interface Ingested extends Progress {
  readonly duplicates?: number
  /** The body ended inside an item, and nothing of this item was published. */
  readonly incomplete?: true
  /** An item has ended the run. The rest of the body was not read. */
  readonly ended?: true
}

/**
 * Admits the streamed body of a request before anything is read or changed for it: a client that may not publish to any topic is refused.
 *
 * @returns a function that takes the body off the counts
 * @throws AppError `forbidden`, `token_missing`, `draining`, `overloaded`, `too_many_bodies`
 */
export function admitBody(door: Door, { c, grant, topic }: Producer): () => void {
  try {
    if (topic !== undefined) authorizePublish(door, grant, topic)
    else if (grant.publish.length === 0) door.authorize(grant, 'publish', '**')
    return door.countBody(c, grant)
  } catch (error) {
    throw withProgress(error, { taken: 0, lastId: null })
  }
}

/**
 * Publishes the items of an admitted body while they arrive, each of which is authorized when it is parsed. Items that arrived together are
 * a group, which one commit appends. A group is parsed only after the group before it is committed, so a sender is slowed down to the rate
 * of its address and to the speed of the log.
 *
 * Each error has `taken` and `lastId`: the log has that many items of the body.
 *
 * @throws AppError of the first refused item; `token_invalid` once the grant has become invalid; `stream_idle`, `stream_too_slow`, and
 *   `body_invalid` if the client has disconnected
 */
export async function ingest(door: Door, items: Items, producer: Producer): Promise<Ingested> {
  const { c, grant, run } = producer
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
      for (const message of group) await publish([message]) // publishes the messages before the refused one, and throws its error
    })
    const isSlow = performance.now() - began > SLOW_COMMIT_MS
    size = isSlow ? Math.min(2 * size, GROUP.max) : Math.max(size / 2, GROUP.min)
  }
  try {
    let index = 0
    const parse = (item: unknown) => toMessage(door, item, producer, index++)
    let [isIncomplete, hasEnded] = [false, false]
    for (let group = await nextGroup(items, size, parse); group; group = await nextGroup(items, size, parse)) {
      const { messages, refusal } = group
      isIncomplete = group.isIncomplete
      if (messages.length > 0) await publishGroup(messages)
      if (refusal) throw refusal
      hasEnded = run !== undefined && messages.at(-1)?.close === true
      if (hasEnded) break
    }
    return {
      taken,
      ...(duplicates > 0 && { duplicates }),
      ...(isIncomplete && { incomplete: true }),
      ...(hasEnded && { ended: true }),
      lastId,
    }
  } catch (error) {
    throw withProgress(error, { taken, lastId })
  }
}

/** The same error, with how much of the body is in the log. */
export function withProgress(error: unknown, { taken, lastId }: Progress): unknown {
  return error instanceof AppError ? error.at(`item ${taken} of the stream`, { taken, lastId }) : error
}

/** Throws unless the grant allows publishing to a topic. The hub's own topics pass: `Hub.publish` refuses them to everybody. */
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

/**
 * Makes messages of the next items, up to the one that ends the run. The parsed items can be many times as large as their text, and are not
 * kept.
 */
async function nextGroup(items: Items, size: number, parse: (item: unknown) => Message): Promise<Group | undefined> {
  const group = await items.next(size)
  if (!group) return
  const isIncomplete = group.at(-1) === INCOMPLETE
  const messages: Message[] = []
  try {
    for (const item of isIncomplete ? group.slice(0, -1) : group) {
      const message = parse(item)
      messages.push(message)
      if (message.run !== undefined && message.close) return { messages, isIncomplete: false }
    }
    return { messages, isIncomplete }
  } catch (refusal) {
    return { messages, refusal, isIncomplete }
  }
}

function toMessage(door: Door, item: unknown, { grant, topic, key, run, done }: Producer, index: number): Message {
  if (item instanceof AppError) throw item
  const message = messageOf(item, topic)
  authorizePublish(door, grant, message.topic)
  const keyed = withKey(message, key === undefined ? undefined : `${key}/${index}`)
  if (run === undefined) return keyed
  return { ...keyed, run, ...(done !== undefined && message.data === done && { close: true }) }
}

/** Whether an error proves that no message of a batch was appended. */
function isRefusal(error: unknown): boolean {
  return error instanceof AppError && error.status < 500
}
