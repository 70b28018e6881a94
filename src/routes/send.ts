import type { Context, Handler } from 'hono'
import type { Auth } from '../auth/auth.ts'
import { authorize, type Grant } from '../auth/authorize.ts'
import type { Clients } from '../auth/clients.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { Published } from '../hub/internal.ts'
import type { Message } from '../log/log.ts'
import { STORE } from '../topic.ts'
import { type Body, readBody } from './body.ts'
import type { BodyLimits, StreamLimits } from './bytes.ts'
import { connectionOf } from './connection.ts'
import { grantOf } from './grant.ts'
import { ingest } from './ingest.ts'
import { readItems } from './items.ts'
import { authorizeSaying, isObject, readMessage, topicOf, valuesOf, withKey } from './message.ts'
import { parseQuery, single, toFields } from './query.ts'

export interface SendOptions {
  readonly hub: Hub
  readonly auth: Auth
  readonly clients: Clients
  readonly body: BodyLimits
  /** Most messages of one list. */
  readonly maxBatch: number
  readonly stream: StreamLimits
  /** Makes the answer to what was taken. */
  readonly json: (value: unknown) => Response
}

/** `/send`: without a topic the demo's call, which sets the store; with one, publishes to it. */
export function send(options: SendOptions): Handler {
  const { hub, auth, clients, body: limits, stream } = options
  return async (c) => {
    const { grant } = await grantOf(c, auth)
    const query = parseQuery(c.req.url)
    const asked = single(query, 'topic')
    const isPost = c.req.method === 'POST'
    const streamed = isPost ? readItems(c, { ...stream, maxItemBytes: limits.maxBodyBytes }) : undefined
    if (streamed) {
      refuseFields(query)
      connectionOf(c)?.disableIdleTimeout?.()
      const taken = await ingest(hub, clients, streamed, {
        grant,
        confirm: () => auth.confirm(grant),
        topic: asked,
        key: keyOf(c),
        asked: c,
      })
      const topic = asked !== undefined && { topic: asked }
      const told = { ...taken, ...topic, durability: await hub.durability() }
      // A bare 204 would be the answer to a body that was taken whole.
      return taken.incomplete ? options.json(told) : answer(c, taken.lastId, told, options)
    }
    const body: Body = isPost ? await readBody(c, limits) : { kind: 'none' }
    if (asked === undefined && !namesTopic(body)) return set(c, options, grant, query, body)
    if (isPost) return publish(c, options, grant, query, body)
    c.header('Allow', 'POST')
    throw new AppError('method_not_allowed', 'Cannot publish to a topic with GET: use POST')
  }
}

async function set(
  c: Context,
  { hub, clients }: SendOptions,
  grant: Grant,
  query: URLSearchParams,
  body: Body,
): Promise<Response> {
  authorize(grant, 'publish', STORE)
  const fields = fieldsOf(body)
  const text = single(query, 'message') ?? messageOf(fields)
  if (text === undefined)
    throw new AppError(
      'message_missing',
      'Cannot send nothing: give message in the query or the body, or a topic to publish data to it',
    )
  const given = toFields(query) // first: what is refused has set nothing
  await clients.spend(c, 1)
  const { id } = await hub.set(text, keyOf(c))
  return c.json({ query: given, body: fields, pathname: new URL(c.req.url).pathname, id })
}

async function publish(
  c: Context,
  options: SendOptions,
  grant: Grant,
  query: URLSearchParams,
  body: Body,
): Promise<Response> {
  const { hub, clients, maxBatch } = options
  refuseFields(query)
  const asked = single(query, 'topic')
  const key = keyOf(c)
  const given = messagesOf(body, asked, maxBatch)
  const messages = given.map((message, i) => withKey(message, isBatch(body) && key !== undefined ? `${key}/${i}` : key))
  for (const { topic } of messages) authorizeSaying(grant, topic)
  await clients.spend(c, messages.length)
  const published = await hub.publish(messages)
  const durability = await hub.durability()
  const [first] = published
  if (!isBatch(body)) {
    const { id, duplicate } = first!
    return answer(c, id, { id, topic: messages[0]!.topic, ...(duplicate && { duplicate }), durability }, options)
  }
  const duplicates = published.filter(({ duplicate }) => duplicate).length
  const taken = { ids: published.map(({ id }) => id), ...topicsOf(messages), ...(duplicates > 0 && { duplicates }) }
  return answer(c, lastOf(published), { ...taken, durability }, options)
}

/** What was taken, or as little of it as the sender prefers (RFC 7240). */
function answer(c: Context, lastId: string | null, taken: Record<string, unknown>, { json }: SendOptions): Response {
  const prefers = c.req.header('prefer')?.split(/[,;]/)
  if (!prefers?.some((preference) => preference.trim().toLowerCase() === 'return=minimal')) return json(taken)
  c.header('Preference-Applied', 'return=minimal')
  if (lastId !== null) c.header('Tidings-Id', lastId)
  return c.body(null, 204)
}

function messagesOf(body: Body, asked: string | undefined, maxBatch: number): Message[] {
  if (body.kind === 'text') return [{ topic: topicOf(asked, undefined), data: body.text }]
  if (body.kind === 'form') return [readMessage(valuesOf(body.fields), asked)]
  if (body.kind === 'none')
    throw new AppError('data_missing', 'Cannot publish without a body: send text/plain, or JSON with data')
  if (!Array.isArray(body.value)) return [readMessage(body.value, asked)]
  if (body.value.length === 0) throw new AppError('data_missing', 'Cannot publish an empty list: add messages')
  if (body.value.length > maxBatch)
    throw new AppError(
      'batch_too_long',
      `Cannot publish ${body.value.length} messages at once: a list holds at most ${maxBatch}; stream them as application/x-ndjson`,
    )
  return body.value.map((given, i) => {
    try {
      return readMessage(given, asked)
    } catch (error) {
      throw error instanceof AppError ? error.at(`message ${i} of the list`) : error
    }
  })
}

function keyOf(c: Context): string | undefined {
  const key = c.req.header('idempotency-key')
  if (key === undefined || /^[\x20-\x7e]{1,180}$/.test(key)) return key
  throw new AppError('key_invalid', 'Cannot use this Idempotency-Key: expected 1 to 180 visible ASCII characters')
}

function topicsOf(messages: readonly Message[]): { topic: string } | { topics: string[] } {
  const topics = messages.map(({ topic }) => topic)
  return new Set(topics).size === 1 ? { topic: topics[0]! } : { topics }
}

function lastOf(published: readonly Published[]): string {
  return published.at(-1)!.id
}

function isBatch(body: Body): boolean {
  return body.kind === 'json' && Array.isArray(body.value)
}

/** Whether a body asks for the hub's call: a message that names its topic, or a list of messages that do. */
function namesTopic(body: Body): boolean {
  if (body.kind === 'form') return Object.hasOwn(body.fields, 'topic')
  if (body.kind !== 'json') return false
  const [first] = Array.isArray(body.value) ? body.value : [body.value]
  return isObject(first) && Object.hasOwn(first, 'topic')
}

/** Fields belong in the body; one in the query would be passed over. */
function refuseFields(query: URLSearchParams): void {
  for (const name of ['data', 'event', 'retry', 'key', 'close'])
    if (query.has(name))
      throw new AppError('parameter_unknown', `Cannot use ${name} in the query: put it in the body, as JSON or a form`)
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
