import type { Context } from 'hono'
import * as v from 'valibot'
import type { Grant } from '../auth/authorize.ts'
import { AppError, quote } from '../errors.ts'
import type { Message } from '../log/log.ts'
import { STORE } from '../topic.ts'
import type { Body } from './body.ts'
import { connectionOf } from './connection.ts'
import { codesOf, header, json, object, parametersOf, ref, schemaOf } from './describe.ts'
import type { Description, Door, Routes } from './door.ts'
import { authorizePublish, ingest } from './ingest.ts'
import type { Items } from './items.ts'
import { isObject } from './json.ts'
import { fieldNames, isBatch, messageSchema, messagesOf, withKey } from './message.ts'
import { meantBy, refuseUnknown } from './names.ts'
import { MAX_FIELDS, namesOf, parseQuery, single, toFields } from './query.ts'
import { described } from './schema.ts'

/** `/send`: publishes to a topic, or without a topic sets the store of the demo. */
export const send: Routes = (door) => {
  const answer = async (c: Context) => {
    const grant = await door.grantOf(c)
    const query = parseQuery(c.req.url)
    const topic = single(query, 'topic')
    const isPost = c.req.method === 'POST'
    const items = isPost ? door.readItems(c) : undefined
    if (items) return publishItems(c, door, grant, query, items)
    const body: Body = isPost ? await door.readBody(c) : { kind: 'none' }
    if (topic === undefined && !namesTopic(body)) return set(c, door, grant, query, body)
    if (isPost) return publish(c, door, grant, query, body)
    c.header('Allow', 'POST')
    throw new AppError('method_not_allowed', 'Cannot publish to a topic with GET: use POST')
  }
  return { '/send': { methods: { GET: answer, POST: answer }, isGetUnsafe: true, describe } }
}

const query = v.object({
  topic: v.optional(described(v.string(), 'The topic to publish to; if left out, the store is set', 'chat/room-1')),
  message: v.optional(described(v.string(), 'Without a topic: the message to set the store to')),
})

const parameterNames = Object.keys(query.entries)

/** The body that sets the store. The response echoes all of its fields. */
const demoBody = v.pipe(
  v.looseObject({
    message: v.optional(described(v.string(), 'The message to set the store to, unless the query has it', 'hi')),
  }),
  v.description('Sets the store, and is echoed.'),
)

async function set(
  c: Context,
  { hub, authorize, spend }: Door,
  grant: Grant,
  query: URLSearchParams,
  body: Body,
): Promise<Response> {
  refuseUnknown(namesOf(query), parameterNames)
  const fields = fieldsOf(body)
  refuseMisspelt(fields)
  authorize(grant, 'publish', STORE)
  const text = single(query, 'message') ?? storeMessageOf(fields)
  if (text === undefined)
    throw new AppError(
      'message_missing',
      'Cannot send nothing: give message in the query or the body, or a topic to publish data to it',
    )
  const given = toFields(query) // may throw, so comes before the store is set
  await spend(c, 1)
  const { id } = await hub.set(text, keyOf(c))
  return c.json({ query: given, body: fields, pathname: new URL(c.req.url).pathname, id })
}

/**
 * Refuses a field whose name resembles `topic` or `message`: a misspelt topic must not set the store. Looks at the first 100 fields. The
 * response echoes all other fields.
 *
 * @throws AppError `field_unknown`
 */
function refuseMisspelt(fields: Record<string, unknown>): void {
  for (const name of Object.keys(fields).slice(0, MAX_FIELDS)) {
    const meant = parameterNames.includes(name) ? undefined : meantBy(name, parameterNames)
    if (meant !== undefined)
      throw new AppError('field_unknown', `Cannot use ${quote(name)} as a field: expected ${meant}`)
  }
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

function storeMessageOf(fields: Record<string, unknown>): string | undefined {
  const message = Object.hasOwn(fields, 'message') ? fields.message : undefined
  if (message === undefined || typeof message === 'string') return message
  if (Array.isArray(message))
    throw new AppError('parameter_repeated', 'Cannot use "message" more than once: give it once')
  throw new AppError('message_invalid', 'Cannot use this message: expected a string')
}

async function publish(c: Context, door: Door, grant: Grant, query: URLSearchParams, body: Body): Promise<Response> {
  const { hub, limits } = door
  refuseFields(query)
  const key = keyOf(c)
  const messages = messagesOf(body, single(query, 'topic'), limits.maxBatch).map((message, i) =>
    withKey(message, isBatch(body) && key !== undefined ? `${key}/${i}` : key),
  )
  for (const { topic } of messages) authorizePublish(door, grant, topic)
  await door.spend(c, messages.length)
  const published = await hub.publish(messages)
  const durability = await hub.durability()
  const { id, duplicate } = published.at(-1)!
  if (!isBatch(body))
    return answer(c, door, id, { id, topic: messages[0]!.topic, ...(duplicate && { duplicate }), durability })
  const duplicates = published.filter(({ duplicate }) => duplicate).length
  const ids = published.map(({ id }) => id)
  return answer(c, door, id, { ids, ...topicsOf(messages), ...(duplicates > 0 && { duplicates }), durability })
}

function topicsOf(messages: readonly Message[]): { topic: string } | { topics: string[] } {
  const topics = messages.map(({ topic }) => topic)
  return new Set(topics).size === 1 ? { topic: topics[0]! } : { topics }
}

async function publishItems(
  c: Context,
  door: Door,
  grant: Grant,
  query: URLSearchParams,
  items: Items,
): Promise<Response> {
  const topic = single(query, 'topic')
  refuseFields(query)
  connectionOf(c)?.disableIdleTimeout?.()
  const ingested = await ingest(door, items, { c, grant, topic, key: keyOf(c) })
  const durability = await door.hub.durability()
  const result = { ...ingested, ...(topic !== undefined && { topic }), durability }
  // A bare 204 would say that the whole body was published.
  return ingested.incomplete ? door.json(result) : answer(c, door, ingested.lastId, result)
}

/** Answers with the result, or with 204 and the last id if the client prefers a minimal response (RFC 7240). */
function answer(c: Context, door: Door, lastId: string | null, result: Record<string, unknown>): Response {
  const preferences = c.req.header('prefer')?.split(/[,;]/)
  if (!preferences?.some((preference) => preference.trim().toLowerCase() === 'return=minimal')) return door.json(result)
  c.header('Preference-Applied', 'return=minimal')
  if (lastId !== null) c.header('Tidings-Id', lastId)
  return c.body(null, 204)
}

function keyOf(c: Context): string | undefined {
  const key = c.req.header('idempotency-key')
  if (key === undefined || /^[\x20-\x7e]{1,180}$/.test(key)) return key
  throw new AppError('key_invalid', 'Cannot use this Idempotency-Key: expected 1 to 180 visible ASCII characters')
}

/** Whether a body holds a message that names its topic, or a list that begins with one. */
function namesTopic(body: Body): boolean {
  if (body.kind === 'form') return Object.hasOwn(body.fields, 'topic')
  if (body.kind !== 'json') return false
  const [first] = Array.isArray(body.value) ? body.value : [body.value]
  return isObject(first) && Object.hasOwn(first, 'topic')
}

/** Refuses misspelt parameters, and fields of a message in the query, which would be ignored. @throws AppError `parameter_unknown` */
function refuseFields(parameters: URLSearchParams): void {
  const names = namesOf(parameters)
  refuseUnknown(names, parameterNames)
  for (const name of names) {
    if (parameterNames.includes(name)) continue
    const field = fieldNames.includes(name) ? name : meantBy(name, fieldNames)
    if (field !== undefined)
      throw new AppError(
        'parameter_unknown',
        `Cannot use ${quote(name)} in the query: put ${field} in the body, as JSON or a form`,
      )
  }
}

function describe(): Description {
  const tags = ['publish']
  const parameters = parametersOf(query)
  const form = { schema: { anyOf: [ref('Message'), ref('DemoMessage')] } }
  const body = {
    'application/json': {
      schema: { anyOf: [ref('Message'), ref('Batch'), ref('DemoMessage')] },
      examples: {
        message: { value: { data: 'hello', event: 'said', key: 'm-1' } },
        list: {
          value: [
            { topic: 'chat/a', data: 'one' },
            { topic: 'chat/b', data: { n: 2 } },
          ],
        },
        close: { value: { close: true } },
        store: { value: { message: 'hi' } },
      },
    },
    'text/plain': { schema: { type: 'string' }, example: 'plain text' },
    'application/x-www-form-urlencoded': form,
    'multipart/form-data': form,
    'application/x-ndjson': { schema: { type: 'string' }, example: '{"data":"one"}\n{"data":"two"}\n' },
    'text/event-stream': { schema: { type: 'string' }, example: 'data: one\n\nevent: said\ndata: two\n\n' },
  }
  const codes = [
    ...[...codesOf.query, ...codesOf.grant, ...codesOf.append],
    ...(['cross_site', 'message_missing', 'parameter_unknown', 'too_many_fields'] as const),
  ]
  return {
    paths: {
      '/send': {
        get: {
          operationId: 'set',
          tags,
          summary: 'Set the store',
          description: 'Sets the message that the demo stream repeats. Requests from other sites are refused.',
          parameters,
          responses: { 200: json('The request, and the id of the message', ref('Set')) },
          codes: [...codes, 'method_not_allowed'],
        },
        post: {
          operationId: 'publish',
          tags,
          summary: 'Publish to a topic, or set the store',
          description:
            'Publishes to the topic of the query or the body. A list is published whole or not at all. The items of `application/x-ndjson` and `text/event-stream` are published while they arrive: a bad item ends the request, and `taken` is the number of items before it. With `Idempotency-Key: K`, item n has the key `K/n`, and sending the same body again continues there. If the body ends inside an item, the answer has `incomplete`. If the client disconnects or the time for the body is over, nothing is published after the items that are being committed. The number of bodies that stream at the same time is limited. Without a topic, the request sets the store.',
          parameters: [
            ...parameters,
            header('Idempotency-Key', 'The key of a message; item n of a list or a stream has the key `K/n`'),
            header('Prefer', '`return=minimal` answers 204 with the id in a header'),
          ],
          requestBody: { content: body },
          responses: {
            200: json('What was published', {
              anyOf: [ref('Published'), ref('PublishedBatch'), ref('PublishedStream'), ref('Set')],
            }),
            204: {
              description: 'Published, with `Prefer: return=minimal` and a complete body',
              headers: {
                'Tidings-Id': { description: 'The last id', schema: ref('Id') },
                'Preference-Applied': { schema: { const: 'return=minimal' } },
              },
            },
          },
          codes: [
            ...[...codes, ...codesOf.body, ...codesOf.topic],
            ...(['batch_too_long', 'data_missing', 'event_invalid', 'field_unknown'] as const),
            ...(['retry_invalid', 'stream_idle', 'stream_too_long', 'stream_too_slow', 'too_many_bodies'] as const),
            ...(['topic_closed', 'topic_conflict', 'topic_missing'] as const),
          ],
        },
      },
    },
    schemas: schemas(),
  }
}

const schemas = () => ({
  Message: schemaOf(messageSchema),
  Batch: { type: 'array', items: ref('Message'), minItems: 1 },
  DemoMessage: schemaOf(demoBody),
  Set: object({ query: { type: 'object' }, body: { type: 'object' }, pathname: { type: 'string' }, id: ref('Id') }, [
    'query',
    'body',
    'pathname',
    'id',
  ]),
  Published: object(
    { id: ref('Id'), topic: { type: 'string' }, durability: ref('Durability'), duplicate: { const: true } },
    ['id', 'topic', 'durability'],
  ),
  PublishedBatch: object(
    {
      ids: { type: 'array', items: ref('Id'), minItems: 1 },
      topic: { type: 'string' },
      topics: {
        type: 'array',
        items: { type: 'string' },
        description: 'If the messages have different topics: the topic of each, in the order of the list',
      },
      durability: ref('Durability'),
      duplicates: { type: 'integer', minimum: 1 },
    },
    ['ids', 'durability'],
  ),
  PublishedStream: object(
    {
      taken: { type: 'integer', minimum: 0 },
      lastId: { anyOf: [ref('Id'), { type: 'null' }] },
      topic: { type: 'string' },
      durability: ref('Durability'),
      duplicates: { type: 'integer', minimum: 1 },
      incomplete: {
        const: true,
        description:
          'The body ended inside an item, because the sender was cut off; nothing of the item was published. Sending the whole body again with the same `Idempotency-Key` continues there. `Prefer: return=minimal` does not shorten this answer.',
      },
    },
    ['taken', 'lastId', 'durability'],
  ),
})
