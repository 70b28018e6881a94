import * as v from 'valibot'
import { AppError, type Code, quote } from '../errors.ts'
import { type Message, makeMessage } from '../log/log.ts'
import type { Body } from './body.ts'
import { messagesOfCloudEvents } from './cloud-events.ts'
import { isObject } from './json.ts'
import { meantBy } from './names.ts'
import { repeated } from './query.ts'
import { described } from './schema.ts'
import { shapes } from './shapes.ts'
import { messageAsWritten, messagesAsWritten } from './written.ts'

/** The fields of a message, as a client gives them. */
export const messageSchema = v.pipe(
  v.strictObject({
    topic: v.optional(
      described(v.string('a string'), 'The topic, unless the query names it', 'chat/room-1', shapes.topic),
    ),
    data: v.optional(
      described(
        v.any(),
        'A string, or any JSON value, which is delivered as it was written, without insignificant whitespace',
        { n: 1 },
      ),
    ),
    event: v.optional(described(v.string('a string'), 'The event name; `message` if left out', 'said', shapes.event)),
    retry: v.optional(described(v.number('a number'), 'Reconnection time of readers, in ms', 2000, shapes.retry)),
    key: v.optional(
      described(
        v.string('a string'),
        'Idempotency key: a message with a known key is not published again',
        'm-1',
        shapes.key,
      ),
    ),
    close: v.optional(
      described(v.boolean('true or false'), 'Closes the topic after this message; data is optional then'),
    ),
    outcome: v.optional(
      described(
        v.picklist(['done', 'failed', 'stopped'], 'done, failed or stopped'),
        'How the run of the topic has ended, for a message that closes it; `done` if left out',
      ),
    ),
    detail: v.optional(
      described(v.string('a string'), 'Why the run has failed', 'The model does not answer', shapes.detail),
    ),
  }),
  v.description(
    'A message has data, or closes its topic, or both. A message with `message` in place of `data` is refused with 400 `field_unknown`: `message` sets the store, without a topic.',
  ),
)

/** The error code for each field of a message, if the field has the wrong type. */
const fieldCodes: Readonly<Record<string, Code>> = {
  topic: 'topic_invalid',
  data: 'body_invalid',
  event: 'event_invalid',
  retry: 'retry_invalid',
  key: 'key_invalid',
  close: 'body_invalid',
  outcome: 'outcome_invalid',
  detail: 'outcome_invalid',
}

export const fieldNames: readonly string[] = Object.keys(fieldCodes)

/** Whether a body holds a list of messages. */
export function isBatch(body: Body): boolean {
  return (body.kind === 'json' || body.kind === 'cloudevents') && Array.isArray(body.value)
}

/** The part of a request that every message of its body shares. */
interface Shared {
  /** The topic that the query names. */
  readonly topic: string | undefined
  /** The event name of a text. */
  readonly event: string | undefined
  /** Whether the request has an `Idempotency-Key`. */
  readonly isKeyed: boolean
}

/**
 * Makes the messages of a body: several of a list, one of any other body.
 *
 * @throws AppError `data_missing`, `batch_too_long`, and those of `messageOf` and `messagesOfCloudEvents`
 */
export function messagesOf(
  body: Body,
  { topic, event, isKeyed }: Shared,
  maxBatch: number,
): readonly Message[] | Promise<readonly Message[]> {
  if (body.kind === 'text')
    return [{ topic: oneTopic(topic, undefined), data: body.text, ...(event !== undefined && { event }) }]
  if (body.kind === 'form') return [messageOf(valuesOf(body.fields), topic)]
  if (body.kind === 'none')
    throw new AppError('data_missing', 'Cannot publish without a body: send text/plain, or JSON with data')
  if (Array.isArray(body.value) && body.value.length === 0)
    throw new AppError('data_missing', 'Cannot publish an empty list: add messages')
  if (Array.isArray(body.value) && body.value.length > maxBatch)
    throw new AppError(
      'batch_too_long',
      `Cannot publish ${body.value.length} messages at once: a list holds at most ${maxBatch}; stream them as application/x-ndjson`,
    )
  if (body.kind === 'cloudevents') return messagesOfCloudEvents(body, oneTopic(topic, undefined), isKeyed)
  if (!Array.isArray(body.value)) return [messageOf(messageAsWritten(body.value, body.text), topic)]
  return messagesAsWritten(body.value, body.text).map((given, i) => {
    try {
      return messageOf(given, topic)
    } catch (error) {
      throw error instanceof AppError ? error.at(`message ${i} of the list`) : error
    }
  })
}

/**
 * Makes a message of a value that a client gives.
 *
 * @param given an object whose `data` is the text to publish: see `messageAsWritten`
 * @param topic the topic that the query names
 * @throws AppError `body_invalid`, `field_unknown`, `data_missing`, `topic_missing`, `topic_conflict` and those of `fieldCodes`
 */
export function messageOf(given: unknown, topic: string | undefined): Message {
  if (!isObject(given)) throw new AppError('body_invalid', 'Cannot publish this: expected an object with data')
  const found = v.safeParse(messageSchema, given)
  if (!found.success) throw invalidField(found.issues[0], given)
  const { data, event, retry, key, close, outcome, detail } = found.output
  if (data === undefined && !close) throw missingData(given)
  const ended = outcome === 'done' ? undefined : outcome
  return makeMessage(oneTopic(topic, found.output.topic), { data, event, retry, key, close, outcome: ended, detail })
}

function oneTopic(inQuery: string | undefined, inBody: string | undefined): string {
  if (inQuery !== undefined && inBody !== undefined && inQuery !== inBody)
    throw new AppError(
      'topic_conflict',
      `Cannot publish to ${quote(inQuery)} and ${quote(inBody)}: name one topic, in the query or the body`,
    )
  const topic = inQuery ?? inBody
  if (topic === undefined)
    throw new AppError('topic_missing', 'Cannot publish to no topic: name one, in the query or in each message')
  return topic
}

/** Returns the message with a key of the header `Idempotency-Key`. @throws AppError `key_invalid` if the message has a key of its own */
export function withKey(message: Message, key: string | undefined): Message {
  if (key === undefined) return message
  if (message.key === undefined) return { ...message, key }
  throw new AppError('key_invalid', 'Cannot use Idempotency-Key beside a key of a message: give one of them')
}

/** Converts the fields of a form to the types that they would have in JSON. */
function valuesOf(fields: Readonly<Record<string, string | string[]>>): Record<string, unknown> {
  const values: Record<string, unknown> = { ...fields }
  for (const [name, value] of Object.entries(fields)) if (Array.isArray(value)) throw repeated(name, value.length)
  const { retry, close } = values
  if (typeof retry === 'string' && /^\d{1,9}$/.test(retry)) values.retry = Number(retry)
  if (close === 'true' || close === 'false') values.close = close === 'true'
  return values
}

function invalidField(issue: v.BaseIssue<unknown>, given: Record<string, unknown>): AppError {
  const field = String(issue.path?.[0]?.key)
  const code = Object.hasOwn(fieldCodes, field) ? fieldCodes[field] : undefined
  if (code !== undefined)
    return new AppError(code, `Cannot use ${quote(issue.received)} as ${field}: expected ${issue.message}`)
  if (field === 'message') return missingData(given)
  const meant = meantBy(field, fieldNames)
  if (meant !== undefined) return new AppError('field_unknown', `Cannot publish ${quote(field)}: expected ${meant}`)
  const isForm = Object.keys(given).length === 1 && given[field] === ''
  const hint = isForm ? '; for plain text say so (curl: -H "content-type: text/plain")' : ''
  const fields = 'data, and optionally topic, event, retry, key, close'
  return new AppError('field_unknown', `Cannot publish ${quote(field)}: expected ${fields}${hint}`)
}

function missingData(given: Record<string, unknown>): AppError {
  if (!Object.hasOwn(given, 'message'))
    return new AppError('data_missing', 'Cannot publish without data: add it, "" is allowed')
  return new AppError(
    'field_unknown',
    'Cannot publish "message" to a topic: name it data; without a topic, message sets the store',
  )
}
