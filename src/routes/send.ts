import type { Context, Handler } from 'hono'
import * as v from 'valibot'
import { authorize, openGrant } from '../auth/authorize.ts'
import { sameOrigin } from '../auth/guard.ts'
import { AppError, quote } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { Message } from '../log/log.ts'
import { type Body, readBody } from './body.ts'
import { parseQuery, single, toFields } from './query.ts'

const message = v.strictObject({
  topic: v.optional(v.string()),
  data: v.string(),
  event: v.optional(v.string()),
  retry: v.optional(v.number()),
  key: v.optional(v.string()),
})

/** `/send`: without a topic the seed's call, which sets the store; with one, publishes to it. */
export function send(hub: Hub, maxBodyBytes: number): Handler {
  return async (c) => {
    sameOrigin(c)
    const query = parseQuery(c.req.url)
    const body: Body = c.req.method === 'POST' ? await readBody(c.req.raw, maxBodyBytes) : { kind: 'none' }
    const topic = topicOf(query, body)
    if (topic === undefined) return set(c, hub, query, body)
    if (c.req.method === 'POST') return publish(c, hub, topic, body)
    c.header('Allow', 'POST')
    throw new AppError('method_not_allowed', 'Cannot publish to a topic with GET: use POST')
  }
}

async function set(c: Context, hub: Hub, query: URLSearchParams, body: Body): Promise<Response> {
  const fields = fieldsOf(body)
  const text = single(query, 'message') ?? messageOf(fields)
  if (text === undefined)
    throw new AppError(
      'message_missing',
      'Cannot send nothing: give message in the query or the body, or a topic to publish data to it',
    )
  const { id } = await hub.set(text)
  return c.json({ query: toFields(query), body: fields, pathname: new URL(c.req.url).pathname, id })
}

async function publish(c: Context, hub: Hub, topic: string, body: Body): Promise<Response> {
  authorize(openGrant, 'publish', topic)
  const said: Message = { ...parseMessageBody(body), topic }
  const [published] = await hub.publish([said])
  const { id, duplicate } = published!
  return c.json({ id, topic, durability: await hub.durability(), ...(duplicate && { duplicate }) })
}

function topicOf(query: URLSearchParams, body: Body): string | undefined {
  const asked = single(query, 'topic')
  const fields = body.kind === 'json' && isObject(body.value) ? body.value : body.kind === 'form' ? body.fields : {}
  const given = Object.hasOwn(fields, 'topic') ? fields.topic : undefined
  if (given === undefined) return asked
  if (typeof given !== 'string')
    throw new AppError('topic_invalid', 'Cannot use this topic: expected one topic, a string')
  if (asked !== undefined && asked !== given)
    throw new AppError(
      'topic_conflict',
      `Cannot publish to ${quote(asked)} and ${quote(given)}: name one topic, in the query or the body`,
    )
  return given
}

function fieldsOf(body: Body): Record<string, unknown> {
  if (body.kind === 'none') return {}
  if (body.kind === 'form') return body.fields
  if (body.kind === 'text')
    throw new AppError(
      'content_type_unsupported',
      'Cannot send plain text without a topic: add ?topic=, or send JSON or a form with message',
    )
  if (isObject(body.value)) return body.value
  throw new AppError('body_invalid', 'Cannot use this JSON: expected an object with message')
}

function messageOf(fields: Record<string, unknown>): string | undefined {
  const given = Object.hasOwn(fields, 'message') ? fields.message : undefined
  if (given === undefined || typeof given === 'string') return given
  if (Array.isArray(given))
    throw new AppError('parameter_repeated', 'Cannot use "message" more than once: give it once')
  throw new AppError('message_invalid', 'Cannot use this message: expected a string')
}

function parseMessageBody(body: Body): Omit<Message, 'topic'> {
  if (body.kind === 'text') return { data: body.text }
  if (body.kind === 'none')
    throw new AppError('data_missing', 'Cannot publish without a body: send text/plain, or JSON with data')
  if (body.kind === 'form')
    throw new AppError(
      'content_type_unsupported',
      'Cannot publish a form to a topic: send application/json with data, or text/plain (curl: -H "content-type: text/plain")',
    )
  if (!isObject(body.value))
    throw new AppError('body_invalid', 'Cannot publish this JSON: expected an object with data')
  const found = v.safeParse(message, body.value)
  if (!found.success) throw refusal(found.issues[0], body.value)
  const { topic: _, data, event, retry, key } = found.output
  return {
    data,
    ...(event !== undefined && { event }),
    ...(retry !== undefined && { retry }),
    ...(key !== undefined && { key }),
  }
}

function refusal(issue: v.BaseIssue<unknown>, given: Record<string, unknown>): AppError {
  const field = String(issue.path?.[0]?.key)
  if (field === 'message' || (field === 'data' && Object.hasOwn(given, 'message')))
    return new AppError(
      'field_unknown',
      'Cannot publish "message" to a topic: call it data; message is what sets the store, without a topic',
    )
  if (!Object.hasOwn(message.entries, field))
    return new AppError(
      'field_unknown',
      `Cannot publish ${quote(field)}: expected data and, if wanted, event, retry, key`,
    )
  if (!Object.hasOwn(given, field))
    return new AppError('data_missing', 'Cannot publish without data: add it, "" is allowed')
  const expected = field === 'retry' ? 'a number' : 'a string'
  const code =
    field === 'event'
      ? 'event_invalid'
      : field === 'retry'
        ? 'retry_invalid'
        : field === 'key'
          ? 'key_invalid'
          : 'body_invalid'
  return new AppError(code, `Cannot use ${issue.received} as ${field}: expected ${expected}`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
