import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { Auth } from '../auth/auth.ts'
import { authorize, type Grant } from '../auth/authorize.ts'
import type { Clients } from '../auth/clients.ts'
import { setCookie } from '../auth/credentials.ts'
import { whenGone } from '../client-gone.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { SubscribeOptions } from '../hub/options.ts'
import type { Subscription } from '../hub/subscription.ts'
import { type Filter, STORE } from '../topic.ts'
import type { Base } from './base.ts'
import { connectionOf } from './connection.ts'
import { laterBody, preferred, streamHeaders } from './later.ts'
import { completed, poll } from './poll.ts'

/** What a client asks for: the topics of a stream, and where the stream begins. */
export interface StreamRequest
  extends Pick<SubscribeOptions, 'lastEventId' | 'from' | 'latest' | 'envelope' | 'control' | 'gaps' | 'repeatMs'> {
  /** Undefined means the demo stream. */
  readonly filter: Filter | undefined
  /** A ticket in place of a token. Only `/event` takes tickets: the first use sets a cookie for this path. */
  readonly ticket?: string | undefined
  /** How long a poll waits if no event is due; 0 if left out. */
  readonly waitMs?: number
}

interface StreamParts {
  readonly hub: Hub
  readonly auth: Auth
  readonly clients: Clients
  readonly base: Base
}

/**
 * Answers a request with a stream of topics, or of the demo:
 *
 * - 200 with events, or with headers alone for HEAD
 * - one JSON response, if the client prefers JSON and takes control events
 * - 204, if all topics are closed and the position is past the closes
 * - for an EventSource, 200 with the time after which to reconnect, in place of a temporary error; not with `control: false`, whose reader
 *   would take it for an empty stream
 *
 * @throws AppError of `Auth.grantOfTicket`, `authorize`, `Hub.subscribe`; `too_many_readers`
 */
export function openStream(c: Context, request: StreamRequest, parts: StreamParts): Promise<Response> {
  return answer(c, request, parts).catch((cause: unknown) => retryLater(c, request, cause))
}

async function answer(c: Context, request: StreamRequest, parts: StreamParts): Promise<Response> {
  const { filter, ticket, waitMs = 0, ...options } = request
  const { auth, clients, base } = parts
  const isHead = c.req.method === 'HEAD'
  const { grant, cookie } = await auth.grantOfTicket(c, isHead ? undefined : ticket)
  for (const name of filter ? [...filter.topics, ...filter.patterns] : [STORE]) authorize(grant, 'subscribe', name)
  // The cookie is set first: the ticket is used up even if no stream can be opened now.
  if (cookie) c.header('Set-Cookie', setCookie(auth.cookies.event, cookie.value, `${base(c)}/event`, cookie.expiresAt))
  // Hono runs the GET handler for HEAD and drops the body unread: a subscription would never end.
  if (isHead) return c.body(null, 200, streamHeaders)

  const connection = connectionOf(c)
  connection?.disableIdleTimeout?.()
  let disconnect = () => {}
  const { expiresAt, subject } = grant
  const who = subject ?? clients.addressOf(c)
  // Clients that want no control events want a stream, whatever they accept: openai's accepts only JSON.
  const isPoll = request.control !== false && preferred(c.req.header('accept')).type === 'application/json'
  const subscription = await subscribe(c, parts, grant, filter, {
    ...options,
    ...(isPoll && { envelope: true }), // `poll` takes the topic and the time of each event from its envelope
    drop: () => disconnect(),
    signal: c.req.raw.signal,
    ...(who !== undefined && { who }),
    ...(expiresAt !== undefined && { expiresAt }),
  })
  if (!subscription) return isPoll ? completed(c, options.lastEventId, filter) : c.body(null, 204)
  if (isPoll) return poll(c, subscription, waitMs)
  if (filter && connection?.takeOver) {
    disconnect = connection.takeOver(subscription)
    return c.body(null, 200, streamHeaders)
  }
  return streamBySSE(c, subscription, (given) => {
    disconnect = given
  })
}

/** Opens a subscription and counts it as a stream of its address and of its subject; undefined if no further event can arrive. */
async function subscribe(
  c: Context,
  { hub, auth, clients }: StreamParts,
  grant: Grant,
  filter: Filter | undefined,
  options: SubscribeOptions,
): Promise<Subscription | undefined> {
  const counts: (() => void)[] = []
  const release = () => {
    for (const releaseCount of counts) releaseCount()
  }
  const onEnd = (subscription: Subscription) => {
    release()
    auth.unwatch(subscription)
  }
  const watch = (subscription: Subscription) =>
    auth.watch(subscription, filter, grant).catch((cause) => {
      subscription.close('failed') // no reader gets this subscription
      throw cause
    })
  try {
    counts.push(clients.countStream(c))
    counts.push(auth.countStream(grant))
    const subscription = await (filter
      ? hub.subscribe(filter, { ...options, onEnd })
      : hub.watch({ ...options, onEnd }))
    if (subscription) await watch(subscription)
    else release()
    return subscription
  } catch (cause) {
    release()
    throw cause
  }
}

/** Replaces a temporary error by a stream that only says when to come back, for the clients that need one. */
function retryLater(c: Context, { filter, control = true }: StreamRequest, cause: unknown): Response {
  if (!(cause instanceof AppError) || !cause.isTemporary) throw cause
  const body = laterBody({ accept: c.req.header('accept'), isDemo: filter === undefined, control })
  if (!body) throw cause
  return c.body(body, 200, streamHeaders)
}

/** The portable carrier: Hono's `streamSSE`, which gets chunks that the hub has framed and encoded. */
function streamBySSE(c: Context, subscription: Subscription, onDisconnect: (disconnect: () => void) => void): Response {
  const close = () => subscription.close()
  const response = streamSSE(c, async (stream) => {
    onDisconnect(() => {
      stream.abort()
      connectionOf(c)?.destroy?.()
    })
    // Each runtime signals an abort by `onAbort` or by the request's signal, not by both (cloudflare/workerd#6832).
    stream.onAbort(close)
    const stopListening = whenGone(c.req.raw.signal, close)
    for await (const chunk of subscription) {
      await stream.write(chunk) // never throws: only `aborted` shows an error
      if (stream.aborted) break
    }
    stopListening()
  })
  const whole = subscription.group.selection.control ? response : breakable(response, subscription)
  // HTTP/2 fails on these two headers (honojs/hono#4041), and HTTP/1.1 frames the body without them. `streamSSE` sets them on its response
  // and on the response of the context, if a middleware has begun to build that.
  for (const name of ['Transfer-Encoding', 'Connection']) {
    whole.headers.delete(name)
    c.header(name, undefined)
  }
  for (const [name, value] of Object.entries(streamHeaders)) {
    whole.headers.set(name, value)
    c.header(name, value)
  }
  return whole
}

/** Makes the body of a response fail at its end if its subscription has to be broken off. `streamSSE` can only close its body. */
function breakable(response: Response, subscription: Subscription): Response {
  const end = new TransformStream<Uint8Array, Uint8Array>({
    flush(controller) {
      if (subscription.mustBreakOff) controller.error(new Error('Broken off: the stream is not complete'))
    },
  })
  return new Response(response.body!.pipeThrough(end), response)
}
