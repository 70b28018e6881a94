import type { Context, Handler } from 'hono'
import { streamSSE } from 'hono/streaming'
import { authorize, openGrant } from '../auth/authorize.ts'
import { AppError, quote } from '../errors.ts'
import { encodeEnding } from '../hub/frame.ts'
import type { Hub, SubscribeOptions } from '../hub/hub.ts'
import { jitter, type Subscription } from '../hub/subscription.ts'
import { Filter } from '../topic.ts'
import { parseQuery, single } from './query.ts'

/** What an adapter tells of a connection, in the place where Workers have their bindings. */
export interface Connection {
  /** Lets the connection be silent for as long as it likes: for a stream. */
  readonly keep?: () => void
  /** Cuts the connection off, unsent bytes included: for a reader that does not drain. */
  readonly cut?: () => void
}

const headers = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
}

const MIN_REPEAT_MS = 1000
const MAX_REPEAT_MS = 3_600_000

/** `/event`: without a topic the seed's stream of the store; with topics and patterns, their entries as they come. */
export function event(hub: Hub): Handler<{ Bindings: Connection }> {
  return async (c) => {
    const query = parseQuery(c.req.url)
    refuseUnknown(query)
    const names = query.getAll('topic')
    const filter = names.length === 0 ? undefined : Filter.parse(names)
    for (const name of filter ? [...filter.topics, ...filter.patterns] : ['$store'])
      authorize(openGrant, 'subscribe', name)
    const lastEventId = lastEventIdOf(c, query)
    const repeatMs = repeatOf(query, filter)
    // Hono runs this for HEAD too, and drops the body with its reader: a subscription would never end.
    if (c.req.method === 'HEAD') return c.body(null, 200, headers)

    c.env?.keep?.()
    let cut = () => {}
    const options: SubscribeOptions = { lastEventId, drop: () => cut(), ...(repeatMs !== undefined && { repeatMs }) }
    const subscription = await (filter ? hub.subscribe(filter, options) : hub.watch(options)).catch((cause: unknown) =>
      comeBack(c, cause),
    )
    if (!subscription) return c.body(null, 204)
    if (subscription instanceof Response) return subscription
    return carry(c, subscription, (given) => {
      cut = given
    })
  }
}

/** The portable carrier: Hono's stream, given whole chunks. It neither frames nor encodes anything itself. */
function carry(
  c: Context<{ Bindings: Connection }>,
  subscription: Subscription,
  onCut: (cut: () => void) => void,
): Response {
  const { signal } = c.req.raw
  const close = () => subscription.close()
  const response = streamSSE(c, async (stream) => {
    onCut(() => {
      stream.abort()
      c.env?.cut?.()
    })
    // Either alone is missed somewhere: a runtime fires the one or the other (cloudflare/workerd#6832).
    stream.onAbort(close)
    signal.addEventListener('abort', close, { once: true })
    if (signal.aborted) close()
    for await (const chunk of subscription) {
      await stream.write(chunk) // never throws: an error only shows in `aborted`
      if (stream.aborted) break
    }
    signal.removeEventListener('abort', close)
  })
  // HTTP/2 dies of these two (honojs/hono#4041); HTTP/1.1 frames the body all the same.
  response.headers.delete('Transfer-Encoding')
  response.headers.delete('Connection')
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
  return response
}

/** Any status but 200 ends a browser's EventSource for good, so it is told when to come back instead. */
function comeBack(c: Context, cause: unknown): Response {
  if (!(cause instanceof AppError) || cause.code !== 'draining') throw cause
  if (c.req.header('accept')?.includes('text/event-stream'))
    return c.body(encodeEnding(jitter(6000)) as Uint8Array<ArrayBuffer>, 200, headers)
  c.header('Retry-After', '5')
  throw cause
}

/** What would change the answer and is not offered must not be passed over: a reader would wait for history that never comes. */
function refuseUnknown(query: URLSearchParams): void {
  for (const name of ['from', 'last', 'since', 'latest', 'gaps', 'wait'])
    if (query.has(name))
      throw new AppError('parameter_unknown', `Cannot use ${quote(name)} here: expected topic, lastEventId or repeat`)
}

/** The header wins, because it is newer: a browser sends it with the URL it was once given. */
function lastEventIdOf(c: Context, query: URLSearchParams): string {
  const header = c.req.header('last-event-id')
  const asked = [single(query, 'lastEventId'), single(query, 'last_event_id')].filter((given) => given !== undefined)
  if (asked.length > 1 && asked[0] !== asked[1])
    throw new AppError(
      'parameter_repeated',
      'Cannot use "lastEventId" and "last_event_id" with two values: give one of them',
    )
  return header || asked[0] || ''
}

function repeatOf(query: URLSearchParams, filter: Filter | undefined): number | undefined {
  const given = single(query, 'repeat')
  if (given === undefined) return
  const ms = /^\d{1,7}$/.test(given) ? Number(given) : 0
  if (ms < MIN_REPEAT_MS || ms > MAX_REPEAT_MS)
    throw new AppError(
      'parameter_invalid',
      `Cannot use ${quote(given)} as repeat: expected a whole number of ms from ${MIN_REPEAT_MS} to ${MAX_REPEAT_MS}`,
    )
  if (!filter) throw new AppError('parameter_invalid', 'Cannot repeat here: repeat goes with one topic')
  return ms
}
