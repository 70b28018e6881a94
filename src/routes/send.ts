import type { Context } from 'hono'
import type { Grant } from '../auth/authorize.ts'
import { AppError, quote } from '../errors.ts'
import type { Message } from '../log/log.ts'
import { nearRuns } from '../runs/near.ts'
import { STORE } from '../topic.ts'
import type { Body } from './body.ts'
import { connectionOf } from './connection.ts'
import type { Door, Routes } from './door.ts'
import { admitBody, authorizePublish, ingest, type Producer } from './ingest.ts'
import type { Items } from './items.ts'
import { isObject } from './json.ts'
import { fieldNames, isBatch, messagesOf, withKey } from './message.ts'
import { meantBy, refuseUnknown } from './names.ts'
import { keyOf, tokenOf } from './producer-headers.ts'
import { MAX_FIELDS, namesOf, parseParameters, parseQuery, single, toFields } from './query.ts'
import { type BodyRun, ingestRun } from './run-body.ts'
import { describeSend, sendQuery } from './send-description.ts'

/** `/send`: publishes to a topic, or without a topic sets the store of the demo. */
export const send: Routes = (door) => {
  const answer = async (c: Context) => {
    const grant = await door.grantOf(c)
    const query = parseQuery(c.req.url)
    const topic = single(query, 'topic')
    const isPost = c.req.method === 'POST'
    const isRaw = isRawIn(query)
    const items = isPost && !isRaw ? door.readItems(c) : undefined
    if (items) return publishItems(c, door, grant, query, items)
    const body = isPost ? await (isRaw ? door.readText(c) : door.readBody(c)) : NONE
    if (topic === undefined && !isRaw && !isForTopic(body)) return set(c, door, grant, query, body)
    if (isPost) return publish(c, door, grant, query, body)
    c.header('Allow', 'POST')
    throw new AppError('method_not_allowed', 'Cannot publish to a topic with GET: use POST')
  }
  return { '/send': { methods: { GET: answer, POST: answer }, isGetUnsafe: true, describe: describeSend } }
}

/** The parameters that set the store. The response echoes all others but those that a POST refuses. */
const setNames = ['topic', 'message']
/** The parameters of a POST that need a topic. */
const topicNames = ['event', 'run', 'grace', 'done']
const NONE: Body = { kind: 'none' }
/** The data of the event with which the streams of most models end. */
const DONE = '[DONE]'

/** @throws AppError `parameter_invalid`, `parameter_repeated` */
function isRawIn(given: URLSearchParams): boolean {
  return given.has('raw') && parseParameters(sendQuery, given).raw === true
}

async function set(
  c: Context,
  { hub, authorize, spend }: Door,
  grant: Grant,
  query: URLSearchParams,
  body: Body,
): Promise<Response> {
  refuseUnknown(namesOf(query), setNames)
  const lost = c.req.method === 'POST' ? topicNames.find((name) => query.has(name)) : undefined
  if (lost !== undefined)
    throw new AppError('topic_missing', `Cannot use ${lost} without a topic: name it in the query`)
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
    const meant = setNames.includes(name) ? undefined : meantBy(name, setNames)
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
  if (query.has('run'))
    throw new AppError(
      'parameter_invalid',
      'Cannot use run here: it goes with a body that streams in, as application/x-ndjson or text/event-stream',
    )
  const key = keyOf(c)
  const topic = single(query, 'topic')
  const event = isRawIn(query) ? single(query, 'event') : undefined
  const given = await messagesOf(body, { topic, event, isKeyed: key !== undefined }, limits.maxBatch)
  const run = tokenOf(c)
  const messages = given.map((message, i) => {
    const keyed = withKey(message, isBatch(body) && key !== undefined ? `${key}/${i}` : key)
    return run === undefined ? keyed : { ...keyed, run }
  })
  for (const { topic } of messages) authorizePublish(door, grant, topic)
  await door.spend(c, messages.length)
  const published = await hub.publish(messages)
  const durability = await hub.durability()
  const { id, duplicate } = published.at(-1)!
  const stop = run !== undefined && (await nearRuns(hub).isStopAsked(messages[0]!.topic)) && { stop: true }
  if (!isBatch(body))
    return answer(c, door, id, { id, topic: messages[0]!.topic, ...(duplicate && { duplicate }), durability, ...stop })
  const duplicates = published.filter(({ duplicate }) => duplicate).length
  const ids = published.map(({ id }) => id)
  return answer(c, door, id, { ids, ...topicsOf(messages), ...(duplicates > 0 && { duplicates }), durability, ...stop })
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
  const sender = { c, grant, topic, key: keyOf(c), run: tokenOf(c) }
  const asRun = bodyRunOf(query, items, sender)
  if (sender.run !== undefined && topic === undefined)
    throw new AppError(
      'topic_missing',
      'Cannot publish under Tidings-Run without a topic: name that of the run in the query',
    )
  const release = admitBody(door, sender)
  const ingesting = asRun ? ingestRun(door, items, sender, asRun) : ingest(door, items, sender)
  const ingested = await ingesting.finally(() => {
    items.close()
    release()
  })
  const durability = await door.hub.durability()
  const isStopAsked = !asRun && sender.run !== undefined && (await nearRuns(door.hub).isStopAsked(topic!))
  const result = { ...ingested, ...(topic !== undefined && { topic }), durability, ...(isStopAsked && { stop: true }) }
  // A bare 204 would say that the whole body was published.
  return ingested.incomplete || asRun ? door.json(result) : answer(c, door, ingested.lastId, result)
}

/** How a streamed body is a run; undefined if it is none. @throws AppError `parameter_invalid`, `topic_missing` */
function bodyRunOf(
  query: URLSearchParams,
  { isEventStream }: Items,
  { topic, run: token }: Producer,
): BodyRun | undefined {
  const { run, grace, done } = parseParameters(sendQuery, query)
  if (run !== undefined && token !== undefined)
    throw new AppError('parameter_invalid', 'Cannot use run beside Tidings-Run: run claims the topic anew')
  if (run === undefined) {
    if (grace === undefined && done === undefined) return
    throw new AppError('parameter_invalid', 'Cannot use grace or done without run: add run=15s, the lease of the run')
  }
  if (topic === undefined) throw new AppError('topic_missing', 'Cannot start a run of no topic: name it in the query')
  if (done !== undefined && !isEventStream)
    throw new AppError(
      'parameter_invalid',
      'Cannot use done with NDJSON: end the run with an item that has "close":true',
    )
  return { leaseMs: run, graceMs: grace, done: isEventStream ? (done ?? DONE) : undefined }
}

/**
 * Answers with the result, or with 204 and the last id if the client prefers a minimal response (RFC 7240). A 204 could not tell that somebody
 * has asked for a stop.
 */
function answer(c: Context, door: Door, lastId: string | null, result: Record<string, unknown>): Response {
  if (result.stop) return door.json(result)
  const preferences = c.req.header('prefer')?.split(/[,;]/)
  if (!preferences?.some((preference) => preference.trim().toLowerCase() === 'return=minimal')) return door.json(result)
  c.header('Preference-Applied', 'return=minimal')
  if (lastId !== null) c.header('Tidings-Id', lastId)
  return c.body(null, 204)
}

/** Whether a body is for a topic, also if the query names none: CloudEvents, a message that names its topic, or a list that begins with one. */
function isForTopic(body: Body): boolean {
  if (body.kind === 'cloudevents') return true
  if (body.kind === 'form') return Object.hasOwn(body.fields, 'topic')
  if (body.kind !== 'json') return false
  const [first] = Array.isArray(body.value) ? body.value : [body.value]
  return isObject(first) && Object.hasOwn(first, 'topic')
}

/** Refuses misspelt parameters, and fields of a message in the query, which would be ignored. @throws AppError `parameter_unknown` */
function refuseFields(parameters: URLSearchParams): void {
  const names = namesOf(parameters)
  const isRaw = isRawIn(parameters)
  const ours = isRaw ? ['topic', 'raw', 'event'] : ['topic', 'raw', 'run', 'grace', 'done']
  refuseUnknown(names, ours)
  for (const name of names) {
    if (ours.includes(name)) continue
    const field = name === 'message' ? 'data' : fieldNames.includes(name) ? name : meantBy(name, fieldNames)
    if (field === undefined) continue
    const instead = isRaw
      ? 'a raw body is the data alone, with event in the query and the key in Idempotency-Key'
      : `put ${field} in the body, as JSON or a form`
    throw new AppError('parameter_unknown', `Cannot use ${quote(name)} in the query: ${instead}`)
  }
}
