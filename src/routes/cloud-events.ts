import { sha256 } from '../auth/credentials.ts'
import { AppError } from '../errors.ts'
import { type Message, utf8Length } from '../log/log.ts'
import { isObject } from './json.ts'
import { writtenValues } from './written.ts'

// CloudEvents in the structured and the batched mode (HTTP Protocol Binding 1.0.2, 3.2 and 3.3).

const ONE = 'application/cloudevents+json'
const BATCH = 'application/cloudevents-batch+json'

/** CloudEvents as a body holds them, parsed and as text. */
export interface CloudEvents {
  readonly kind: 'cloudevents'
  /** Whether the body is a list of events. */
  readonly isBatch: boolean
  readonly value: unknown
  readonly text: string
}

export function isCloudEvents(essence: string): boolean {
  return essence === ONE || essence === BATCH
}

export function cloudEventsOf(essence: string, value: unknown, text: string): CloudEvents {
  return { kind: 'cloudevents', isBatch: essence === BATCH, value, text }
}

/** The attributes that every CloudEvent has (CloudEvents 1.0.2, 3.1). */
const REQUIRED = ['id', 'source', 'specversion', 'type'] as const

/**
 * Makes a message of each CloudEvent.
 *
 * - The data is the whole event, as it was written: a reader parses it as a CloudEvent.
 * - The message has no event name, because an EventSource delivers a named event only to listeners of that name: `onmessage` would miss
 *   every type.
 * - The key is the `source` and the `id`, which identify an event (CloudEvents 1.0.2, 3.1.1), unless the request has a key.
 *
 * @throws AppError `body_invalid`
 */
export function messagesOfCloudEvents(
  { isBatch, value, text }: CloudEvents,
  topic: string,
  isKeyed: boolean,
): Promise<Message[]> {
  if (isBatch !== Array.isArray(value))
    throw new AppError('body_invalid', `Cannot publish this: expected a list for ${BATCH}, one event for ${ONE}`)
  const events = Array.isArray(value) ? value : [value]
  for (const [i, event] of events.entries()) refuseIncomplete(event, isBatch ? i : undefined)
  const texts = writtenValues(text)
  return Promise.all(
    events.map(async (event, i) => ({ topic, data: texts[i]!, ...(!isKeyed && { key: await keyOf(event) }) })),
  )
}

interface Identified {
  readonly source: string
  readonly id: string
}

function refuseIncomplete(event: unknown, index: number | undefined): void {
  const missing = REQUIRED.find((name) => !isObject(event) || typeof event[name] !== 'string' || event[name] === '')
  if (missing === undefined) return
  const error = new AppError('body_invalid', `Cannot publish this as a CloudEvent: it needs ${REQUIRED.join(', ')}`)
  throw index === undefined ? error : error.at(`event ${index} of the batch`)
}

/** Longest key, in bytes. */
const MAX_KEY_BYTES = 200

/** Returns `source` and `id` as one text in which they cannot be mixed up; a long text is hashed. */
async function keyOf({ source, id }: Identified): Promise<string> {
  const text = JSON.stringify([source, id])
  return utf8Length(text) <= MAX_KEY_BYTES ? text : `cloudevent:${await sha256(text)}`
}
