import type { Context, Handler } from 'hono'
import * as v from 'valibot'
import type { Auth } from '../auth/auth.ts'
import { authorize } from '../auth/authorize.ts'
import { setCookie } from '../auth/credentials.ts'
import { inOrder } from '../auth/streams.ts'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { Filter, type TopicLimits } from '../topic.ts'
import { readBody } from './body.ts'
import type { BodyLimits } from './bytes.ts'
import { grantOf } from './grant.ts'
import { revocation, streamBody } from './schema.ts'

const headers = { 'Cache-Control': 'no-store' }

/** `POST /login`: a token becomes the cookie of a page, until it ends. `DELETE /login` takes the cookie away. */
export function login(auth: Auth): Handler {
  return async (c) => {
    const { token, grant } = await auth.tokenOf(c.req.header('authorization'))
    c.header('Set-Cookie', setCookie(auth.cookies.login, token, '/', grant.expiresAt!))
    return c.json({ expiresAt: timeOf(grant.expiresAt!) }, 200, headers)
  }
}

export function logout(auth: Auth): Handler {
  return (c) => {
    c.header('Set-Cookie', setCookie(auth.cookies.login, '', '/', 0))
    return c.body(null, 204)
  }
}

/** `POST /ticket`: a token, by header or cookie, becomes a string that opens one stream within a minute. */
export function ticket(auth: Auth): Handler {
  return async (c) => {
    const { grant } = await grantOf(c, auth)
    if (grant.source === undefined || grant.expiresAt === undefined)
      throw new AppError('token_missing', 'Cannot make a ticket without a token: send it as Authorization: Bearer')
    const made = await auth.tickets.issue(grant)
    return c.json({ ticket: made.ticket, expiresAt: timeOf(made.expiresAt) }, 200, headers)
  }
}

/** `POST /streams/<stream>`: a fresh token keeps an open stream going, and may change its topics. */
export function renew(hub: Hub, auth: Auth, body: BodyLimits, limits: TopicLimits): Handler {
  return async (c) => {
    const { grant } = await grantOf(c, auth)
    const stream = auth.streamOf(c.req.param('stream')!, grant)
    const { topics } = await readJson(c, body, streamBody)
    if (topics && !stream.filter)
      throw new AppError('parameter_invalid', 'Cannot give the stream of the store other topics')
    const filter = topics ? Filter.parse(topics, limits) : stream.filter
    for (const name of filter ? [...filter.topics, ...filter.patterns] : ['$store']) authorize(grant, 'subscribe', name)
    const { subscription } = stream
    // One after the other, so that the topics and the grant that a stream goes on with are of one renewal. What vouches for it is
    // recorded before it goes on: if that is revoked meanwhile, the stream ends.
    await inOrder(stream, async () => {
      subscription.renew(grant.expiresAt)
      Object.assign(stream, { grant, filter })
      if (topics) await hub.change(subscription, filter!)
    })
    await auth.recheck(subscription, grant)
    return c.json(
      {
        stream: subscription.stream,
        ...(filter && { topics: [...filter.topics, ...filter.patterns] }),
        ...(grant.expiresAt !== undefined && { expiresAt: timeOf(grant.expiresAt) }),
      },
      200,
      headers,
    )
  }
}

/** `POST /revoke`: takes back a token by its `jti`, or all that a `sub` was given, for those who may. */
export function revoke(auth: Auth, body: BodyLimits): Handler {
  return async (c) => {
    const { grant } = await grantOf(c, auth)
    authorize(grant, 'publish', '$revoked')
    await auth.revoke(grant, await readJson(c, body, revocation))
    return c.body(null, 204)
  }
}

async function readJson<Schema extends v.GenericSchema>(c: Context, limits: BodyLimits, schema: Schema) {
  const body = await readBody(c, limits)
  if (body.kind !== 'json' && body.kind !== 'none')
    throw new AppError('content_type_unsupported', 'Cannot read a body of this type: expected application/json')
  const found = v.safeParse(schema, body.kind === 'json' ? body.value : {})
  if (found.success) return found.output as v.InferOutput<Schema>
  const [issue] = found.issues
  throw new AppError(
    'body_invalid',
    `Cannot use this body: expected ${issue.expected ?? 'something else'}, as /openapi.json has it`,
  )
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}
