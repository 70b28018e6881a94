import type { Context } from 'hono'
import { authorize, type Grant } from '../auth/authorize.ts'
import type { Clients } from '../auth/clients.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { Published } from '../hub/internal.ts'
import type { Message } from '../log/log.ts'
import { INCOMPLETE, type Items } from './items.ts'
import { authorizeSaying, readMessage, withKey } from './message.ts'

/**
 * Items of one commit: few, because 100 topics that nobody has heard of keep everybody waiting for 2.5 ms (measured, SQLite); twice
 * as many after a commit that took as long as only a slow disk or a server far away makes it: an fsync costs the same for one as
 * for all. A busy hub takes 5 ms and more, and larger groups would keep it busier.
 */
const GROUP = { min: 32, max: 256 }
const LONG_COMMIT_MS = 20

export interface Sender {
  readonly grant: Grant
  /** Whether the grant is still good, which a body may outlive. @throws AppError `token_invalid` */
  readonly confirm: () => void | Promise<void>
  /** The topic that the query names. */
  readonly topic: string | undefined
  /** `Idempotency-Key`: item n has the key `K/n`. */
  readonly key: string | undefined
  /** Its request. */
  readonly asked: Context
}

/** How far a stream was taken. */
export interface Taken {
  /** Items that are in the log, those among them that were there before counted too. */
  readonly taken: number
  readonly duplicates?: number
  /** It ended inside an item, of which nothing was published. */
  readonly incomplete?: true
  readonly lastId: string | null
}

/**
 * Publishes what streams in as it comes: what has arrived together goes into the log together, and nothing more is read meanwhile,
 * which is what slows the sender down to what the log can take.
 *
 * @throws AppError of the first item that is refused, or that the grant was not there for any more, with `taken` and `lastId`: what
 *   came before it is in the log
 */
export async function ingest(hub: Hub, clients: Clients, items: Items, sender: Sender): Promise<Taken> {
  let taken = 0
  let duplicates = 0
  let lastId: string | null = null
  const note = (published: readonly Published[]) => {
    taken += published.length
    duplicates += published.filter(({ duplicate }) => duplicate).length
    lastId = published.at(-1)?.id ?? lastId
  }
  const publish = async (messages: readonly Message[]) => note(await hub.publish(messages))
  let size = GROUP.min
  const publishAll = async (messages: readonly Message[]) => {
    for (let i = 0; i < messages.length; ) {
      const group = messages.slice(i, i + size)
      i += group.length
      await clients.pace(sender.asked, group.length)
      await sender.confirm()
      const began = performance.now()
      await publish(group).catch(async (error) => {
        if (!isRefusal(error)) throw error
        for (const message of group) await publish([message]) // up to the one at fault
      })
      const isLong = performance.now() - began > LONG_COMMIT_MS
      size = isLong ? Math.min(2 * size, GROUP.max) : Math.max(size / 2, GROUP.min)
    }
  }
  try {
    // Each item is looked at as it comes; whoever may say nothing here is not listened to until then.
    if (sender.topic !== undefined) authorizeSaying(sender.grant, sender.topic)
    else if (sender.grant.publish.length === 0) authorize(sender.grant, 'publish', '**')
    let count = 0
    let isIncomplete = false
    for await (const group of items) {
      const messages: Message[] = []
      isIncomplete = group.at(-1) === INCOMPLETE
      const whole = isIncomplete ? group.slice(0, -1) : group
      const refused = firstRefused(whole, (item) => messages.push(messageOf(item, sender, count++)))
      await publishAll(messages)
      if (refused) throw refused
    }
    return { taken, ...(duplicates > 0 && { duplicates }), ...(isIncomplete && { incomplete: true }), lastId }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw error.at(`item ${taken} of the stream`, { taken, lastId })
  }
}

/** Takes items until one throws, and returns what it threw. */
function firstRefused<T>(items: readonly T[], take: (item: T) => void): unknown {
  try {
    for (const item of items) take(item)
  } catch (error) {
    return error
  }
  return
}

function messageOf(item: unknown, { grant, topic, key }: Sender, index: number): Message {
  if (item instanceof AppError) throw item
  const message = readMessage(item, topic)
  authorizeSaying(grant, message.topic)
  return withKey(message, key === undefined ? undefined : `${key}/${index}`)
}

/** Whether nothing of a batch was taken, for sure. */
function isRefusal(error: unknown): boolean {
  return error instanceof AppError && error.status < 500
}
