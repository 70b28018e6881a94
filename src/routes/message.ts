import * as v from 'valibot'
import { authorize, type Grant } from '../auth/authorize.ts'
import { AppError, quote } from '../errors.ts'
import { type Message, makeMessage } from '../log/log.ts'
import { isOwn, parseTopic } from '../topic.ts'
import { fieldCodes, message } from './schema.ts'

/**
 * Reads a message as somebody gave it.
 *
 * @param topic the one named beside it, in the query
 * @throws AppError `body_invalid`, `field_unknown`, `data_missing`, `topic_missing`, `topic_conflict` and those of the fields
 */
export function readMessage(given: unknown, topic: string | undefined): Message {
  if (!isObject(given)) throw new AppError('body_invalid', 'Cannot publish this: expected an object with data')
  const found = v.safeParse(message, given)
  if (!found.success) throw refusal(found.issues[0], given)
  const { data, event, retry, key, close } = found.output
  if (data === undefined && !close) throw missing(given)
  const text = data === undefined ? undefined : textOf(data)
  return makeMessage(topicOf(topic, found.output.topic), { data: text, event, retry, key, close })
}

/** The one topic of two that may be given. @throws AppError `topic_missing`, `topic_conflict` */
export function topicOf(asked: string | undefined, given: string | undefined): string {
  if (asked !== undefined && given !== undefined && asked !== given)
    throw new AppError(
      'topic_conflict',
      `Cannot publish to ${quote(asked)} and ${quote(given)}: name one topic, in the query or the body`,
    )
  const topic = asked ?? given
  if (topic === undefined)
    throw new AppError('topic_missing', 'Cannot publish to no topic: name one, in the query or in each message')
  return topic
}

/** Whether a grant lets somebody say something in a topic: nobody may in the hub's own. @throws AppError of `parseTopic`, `authorize` */
export function authorizeSaying(grant: Grant, topic: string): void {
  if (!isOwn(parseTopic(topic))) authorize(grant, 'publish', topic)
}

/** The message with the key that `Idempotency-Key` gives it. @throws AppError `key_invalid` if it has one of its own */
export function withKey(message: Message, key: string | undefined): Message {
  if (key === undefined) return message
  if (message.key === undefined) return { ...message, key }
  throw new AppError('key_invalid', 'Cannot use Idempotency-Key beside a key of a message: give one of them')
}

/** The fields of a form as the values that JSON would have. */
export function valuesOf(fields: Readonly<Record<string, string | string[]>>): Record<string, unknown> {
  const values: Record<string, unknown> = { ...fields }
  for (const [name, value] of Object.entries(fields))
    if (Array.isArray(value))
      throw new AppError('parameter_repeated', `Cannot use ${quote(name)} ${value.length} times: give it once`)
  const { retry, close } = values
  if (typeof retry === 'string' && /^\d{1,9}$/.test(retry)) values.retry = Number(retry)
  if (close === 'true' || close === 'false') values.close = close === 'true'
  return values
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The data of an event is text: any other value goes as compact JSON. */
function textOf(data: unknown): string {
  return typeof data === 'string' ? data : JSON.stringify(data)
}

function refusal(issue: v.BaseIssue<unknown>, given: Record<string, unknown>): AppError {
  const field = String(issue.path?.[0]?.key)
  const code = Object.hasOwn(fieldCodes, field) ? fieldCodes[field] : undefined
  if (code !== undefined)
    return new AppError(code, `Cannot use ${quote(issue.received)} as ${field}: expected ${issue.message}`)
  if (field === 'message') return missing(given)
  const isForm = Object.keys(given).length === 1 && given[field] === ''
  const hint = isForm ? '; for plain text say so (curl: -H "content-type: text/plain")' : ''
  const fields = 'data and, if wanted, topic, event, retry, key, close'
  return new AppError('field_unknown', `Cannot publish ${quote(field)}: expected ${fields}${hint}`)
}

function missing(given: Record<string, unknown>): AppError {
  if (!Object.hasOwn(given, 'message'))
    return new AppError('data_missing', 'Cannot publish without data: add it, "" is allowed')
  return new AppError(
    'field_unknown',
    'Cannot publish "message" to a topic: call it data; message is what sets the store, without a topic',
  )
}
