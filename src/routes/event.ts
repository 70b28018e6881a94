import type { Context, Handler } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { Auth } from '../auth/auth.ts'
import { authorize, type Grant } from '../auth/authorize.ts'
import type { Clients } from '../auth/clients.ts'
import { setCookie } from '../auth/credentials.ts'
import { AppError, type Code } from '../errors.ts'
import { whenGone } from '../gone.ts'
import { encodeEnding } from '../hub/frame.ts'
import type { Hub } from '../hub/hub.ts'
import type { SubscribeOptions } from '../hub/options.ts'
import { jitter, type Subscription } from '../hub/subscription.ts'
import { Filter, STORE, type TopicLimits } from '../topic.ts'
import type { Base } from './base.ts'
import { readBody } from './body.ts'
import type { BodyLimits } from './bytes.ts'
import { connectionOf } from './connection.ts'
import { grantOf } from './grant.ts'
import { over, poll } from './poll.ts'
import { parseQuery } from './query.ts'
import { eventQuery, parseParameters, timeOf } from './schema.ts'

export interface EventOptions {
  readonly hub: Hub
  readonly auth: Auth
  readonly clients: Clients
  readonly body: BodyLimits
  readonly limits: TopicLimits
  readonly base: Base
}

const headers = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  Vary: 'Accept',
}

/** What passes by itself: worth coming back for. */
const passing: readonly Code[] = [
  ...(['draining', 'keys_unavailable', 'log_unavailable', 'log_unusable', 'overloaded'] as const),
  ...(['too_many_readers', 'too_many_replays'] as const),
]

/** `/event`: without a topic the demo's stream of the store; with topics and patterns, their entries as they come. */
export function event(options: EventOptions): Handler {
  return (c) => answer(c, options).catch((cause: unknown) => comeBack(c, cause))
}

async function answer(c: Context, { hub, auth, clients, body, limits, base }: EventOptions): Promise<Response> {
  const asked = parseParameters(eventQuery, await queryOf(c, body))
  const filter = asked.topic ? Filter.parse(asked.topic, limits) : undefined
  const options = optionsOf(asked, filter, c.req.header('last-event-id'))
  const isHead = c.req.method === 'HEAD'
  const { grant, cookie } = await grantOf(c, auth, isHead ? undefined : asked.ticket)
  for (const name of filter ? [...filter.topics, ...filter.patterns] : [STORE]) authorize(grant, 'subscribe', name)
  if (cookie) c.header('Set-Cookie', setCookie(auth.cookies.event, cookie.value, `${base(c)}/event`, cookie.expiresAt)) // also where no stream can be opened now: the ticket is used up
  // Hono runs this for HEAD too, and drops the body with its reader: a subscription would never end.
  if (isHead) return c.body(null, 200, headers)

  connectionOf(c)?.disableIdleTimeout?.()
  let cut = () => {}
  const { expiresAt, subject } = grant
  const who = subject ?? clients.addressOf(c)
  const until = {
    ...options,
    drop: () => cut(),
    ...(who !== undefined && { who }),
    ...(expiresAt !== undefined && { expiresAt }),
  }
  const subscription = await open(c, { hub, auth, clients }, grant, filter, until)
  const isPoll = wantsJson(c)
  if (!subscription) return isPoll ? over(c, options.lastEventId, filter) : c.body(null, 204)
  if (isPoll) return poll(c, subscription, 1000 * (asked.wait ?? 0))
  const connection = connectionOf(c)
  if (filter && connection?.takeOver) {
    cut = connection.takeOver(subscription)
    return c.body(null, 200, headers)
  }
  return carry(c, subscription, (given) => {
    cut = given
  })
}

/** The query, and for lists too long for one the same in a body. */
async function queryOf(c: Context, limits: BodyLimits): Promise<URLSearchParams> {
  const query = parseQuery(c.req.url)
  if (c.req.method === 'GET' || c.req.method === 'HEAD') return query
  const body = await readBody(c, limits)
  if (body.kind === 'none') return query
  if (body.kind !== 'form')
    throw new AppError(
      'content_type_unsupported',
      'Cannot subscribe with a body of this type: expected application/x-www-form-urlencoded, with what a query would hold',
    )
  for (const [name, value] of Object.entries(body.fields)) for (const one of [value].flat()) query.append(name, one)
  return query
}

type Asked = ReturnType<typeof parseParameters<(typeof eventQuery)['entries']>>

function optionsOf(asked: Asked, filter: Filter | undefined, header: string | undefined): SubscribeOptions {
  const cannot = (why: string) => new AppError('parameter_invalid', `Cannot ${why}`)
  const beginnings = (['from', 'last', 'since'] as const).filter((name) => asked[name] !== undefined)
  if (beginnings.length > 1) throw cannot(`begin in two places: give one of ${beginnings.join(' and ')}`)
  const [beginning] = beginnings
  for (const name of [...beginnings, 'latest', 'gaps', 'repeat'] as const)
    if (!filter && asked[name] !== undefined) throw cannot(`use ${name} here: it goes with a topic`)
  if (asked.gaps && !asked.latest) throw cannot('use gaps here: it goes with latest=true')
  const from = beginning && { from: 'earliest' as const, last: { last: asked.last! }, since: sinceOf(asked) }[beginning]
  return {
    lastEventId: lastEventIdOf(asked, header),
    ...(from && { from }),
    ...(asked.latest && { latest: true }),
    ...(asked.gaps && { gaps: true }),
    ...(asked.repeat !== undefined && { repeatMs: asked.repeat }),
  }
}

function sinceOf({ since }: Asked) {
  return { since: since === undefined ? 0 : timeOf(since, Date.now()) }
}

/** The header wins, because it is newer: a browser sends it with the URL it was once given. */
function lastEventIdOf({ lastEventId, last_event_id: other }: Asked, header: string | undefined): string {
  if (lastEventId !== undefined && other !== undefined && lastEventId !== other)
    throw new AppError(
      'parameter_repeated',
      'Cannot use "lastEventId" and "last_event_id" with two values: give one of them',
    )
  return header || lastEventId || other || ''
}

/** A subscription, counted in and out, or nothing where nothing can come any more. */
async function open(
  c: Context,
  { hub, auth, clients }: Pick<EventOptions, 'hub' | 'auth' | 'clients'>,
  grant: Grant,
  filter: Filter | undefined,
  options: SubscribeOptions,
): Promise<Subscription | undefined> {
  const counted: (() => void)[] = []
  const leave = () => {
    for (const out of counted) out()
  }
  const onEnd = (subscription: Subscription) => {
    leave()
    auth.unwatch(subscription)
  }
  try {
    counted.push(clients.enter(c))
    counted.push(auth.enter(grant))
    const subscription = await (filter
      ? hub.subscribe(filter, { ...options, onEnd })
      : hub.watch({ ...options, onEnd }))
    if (subscription) await auth.watch(subscription, filter, grant)
    else leave()
    return subscription
  } catch (cause) {
    leave()
    throw cause
  }
}

/** Any status but 200 ends a browser's EventSource for good, so it is told when to come back instead. */
function comeBack(c: Context, cause: unknown): Response {
  if (!(cause instanceof AppError) || !passing.includes(cause.code)) throw cause
  if (!c.req.header('accept')?.includes('text/event-stream')) throw cause
  return c.body(encodeEnding(jitter(6000)) as Uint8Array<ArrayBuffer>, 200, headers)
}

/** Whether a client asks for one answer in the place of a stream. */
function wantsJson(c: Context): boolean {
  const accept = c.req.header('accept') ?? ''
  return accept.includes('application/json') && !accept.includes('text/event-stream')
}

/** The portable carrier: Hono's stream, given whole chunks. It neither frames nor encodes anything itself. */
function carry(c: Context, subscription: Subscription, onCut: (cut: () => void) => void): Response {
  const close = () => subscription.close()
  const response = streamSSE(c, async (stream) => {
    onCut(() => {
      stream.abort()
      connectionOf(c)?.destroy?.()
    })
    // Either alone is missed somewhere: a runtime fires the one or the other (cloudflare/workerd#6832).
    stream.onAbort(close)
    const stopListening = whenGone(c.req.raw.signal, close)
    for await (const chunk of subscription) {
      await stream.write(chunk) // never throws: an error only shows in `aborted`
      if (stream.aborted) break
    }
    stopListening()
  })
  // HTTP/2 dies of these two (honojs/hono#4041); HTTP/1.1 frames the body all the same. What streamSSE says it says in two places:
  // in its response, and, where a middleware has begun one, in that of the context.
  for (const name of ['Transfer-Encoding', 'Connection']) {
    response.headers.delete(name)
    c.header(name, undefined)
  }
  for (const [name, value] of Object.entries(headers)) {
    response.headers.set(name, value)
    c.header(name, value)
  }
  return response
}
