import type { Context, Handler } from 'hono'
import * as v from 'valibot'
import { refuseLargeCookie, setCookie } from '../auth/credentials.ts'
import { inOrder } from '../auth/streams.ts'
import { AppError } from '../errors.ts'
import { INSIDE } from '../hub/inside.ts'
import { Filter, STORE } from '../topic.ts'
import { codesOf, json, object, ref, schemaOf } from './describe.ts'
import type { Description, Door, Routes } from './door.ts'
import { described } from './schema.ts'
import { shapes } from './shapes.ts'

const headers = { 'Cache-Control': 'no-store' }

/** Routes for a client's credentials: log in and out, get a ticket, renew a stream, revoke tokens. */
export const session: Routes = (door) => ({
  '/login': { methods: { POST: login(door), DELETE: logout(door) }, describe: describeLogin },
  '/ticket': { methods: { POST: ticket(door) }, describe: describeTicket },
  '/streams/:stream': { methods: { POST: renew(door) }, describe: describeStream },
  '/revoke': { methods: { POST: revoke(door) }, describe: describeRevoke },
})

/** `POST /login` puts a token into a cookie of the page, until the token expires. */
function login({ auth }: Door): Handler {
  return async (c) => {
    const { token, grant } = await auth.tokenOf(c.req.header('authorization'))
    c.header('Set-Cookie', setCookie(auth.cookies.login, token, '/', grant.expiresAt!))
    return c.json({ expiresAt: timeOf(grant.expiresAt!) }, 200, headers)
  }
}

/** `DELETE /login` deletes the cookie. */
function logout({ auth }: Door): Handler {
  return (c) => {
    c.header('Set-Cookie', setCookie(auth.cookies.login, '', '/', 0))
    return c.body(null, 204)
  }
}

/** `POST /ticket` exchanges a token, in a header or the cookie, for a string that opens one stream within a minute. */
function ticket(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    if (grant.source === undefined || grant.expiresAt === undefined)
      throw new AppError('token_missing', 'Cannot make a ticket without a token: send it as Authorization: Bearer')
    const { cookies, tickets } = door.auth
    // The stream of the ticket sets this cookie, with which a browser reconnects. The page could not see why that stream is refused.
    refuseLargeCookie(cookies.event, await tickets.cookieValue(grant))
    const made = await tickets.issue(grant)
    return c.json({ ticket: made.ticket, expiresAt: timeOf(made.expiresAt) }, 200, headers)
  }
}

const renewal = v.strictObject({
  topics: v.optional(
    described(
      v.pipe(v.array(v.pipe(v.string(), v.metadata(shapes.name))), v.minLength(1)),
      'Topics and patterns that replace those of the stream',
    ),
  ),
})

/** `POST /streams/<stream>` gives an open stream a fresh token, and may give it other topics. */
function renew(door: Door): Handler {
  const { hub, auth, limits } = door
  return async (c) => {
    const grant = await door.grantOf(c)
    const stream = auth.streamOf(c.req.param('stream')!, grant)
    const { topics } = await readJson(c, door, renewal)
    if (topics && !stream.filter) throw new AppError('parameter_invalid', 'Cannot change the topics of the demo stream')
    const filter = topics ? Filter.parse(topics, limits.topics) : stream.filter
    const names = filter && [...filter.topics, ...filter.patterns]
    for (const name of names ?? [STORE]) door.authorize(grant, 'subscribe', name)
    const { subscription } = stream
    // Renewals take turns, so that a stream never has the topics of one renewal and the grant of another. The grant is recorded before the
    // stream continues: if the grant is revoked meanwhile, the stream ends.
    await inOrder(stream, async () => {
      subscription.renew(grant.expiresAt)
      auth.change(stream, { grant, filter })
      if (topics) await hub[INSIDE].change(subscription, filter!)
    })
    await auth.endIfInvalid(subscription, grant)
    return c.json(
      {
        stream: subscription.stream,
        ...(names && { topics: names }),
        ...(grant.expiresAt !== undefined && { expiresAt: timeOf(grant.expiresAt) }),
      },
      200,
      headers,
    )
  }
}

const revocation = v.pipe(
  v.union([
    v.strictObject({ jti: revocable('The jti of a token') }),
    v.strictObject({ sub: revocable('A sub: all tokens issued to it until now, and all without iat') }),
    v.strictObject({ key: revocable('The name of an API key') }),
  ]),
  v.description('Revokes one token, all tokens issued to a sub until now, or an API key'),
)

function revocable(description: string) {
  return described(v.pipe(v.string(), v.minLength(1), v.maxLength(200)), description)
}

/** `POST /revoke` revokes a token, all tokens of a `sub`, or an API key; the grant must allow publishing to `$revoked`. */
function revoke(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    door.authorize(grant, 'publish', '$revoked')
    await door.auth.revoke(grant, await readJson(c, door, revocation))
    return c.body(null, 204)
  }
}

async function readJson<Schema extends v.GenericSchema>(c: Context, door: Door, schema: Schema) {
  const body = await door.readBody(c)
  if (body.kind !== 'json' && body.kind !== 'none')
    throw new AppError('content_type_unsupported', 'Cannot read a body of this type: expected application/json')
  const found = v.safeParse(schema, body.kind === 'json' ? body.value : {})
  if (found.success) return found.output as v.InferOutput<Schema>
  const [issue] = found.issues
  throw new AppError(
    'body_invalid',
    `Cannot use this body: expected ${issue.expected ?? 'another value'}, see /openapi.json`,
  )
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}

const tags = ['auth']

function describeLogin(): Description {
  return {
    paths: {
      '/login': {
        post: {
          operationId: 'login',
          tags,
          summary: 'Log a page in',
          description: 'Puts a token into a cookie that scripts cannot read, until the token expires.',
          responses: { 200: json('When the cookie expires', object({ expiresAt: ref('Time') }, ['expiresAt'])) },
          codes: [...codesOf.grant, 'cookie_too_large', 'cross_site'],
        },
        delete: {
          operationId: 'logout',
          tags,
          summary: 'Log a page out',
          description: 'Deletes the cookie.',
          responses: { 204: { description: 'The cookie is deleted' } },
          codes: ['cross_site'],
        },
      },
    },
  }
}

function describeTicket(): Description {
  const made = object({ ticket: { type: 'string' }, expiresAt: ref('Time') }, ['ticket', 'expiresAt'])
  return {
    paths: {
      '/ticket': {
        post: {
          operationId: 'ticket',
          tags,
          summary: 'Get a ticket',
          description:
            'Exchanges a token for a string for `GET /event?ticket=…`: it opens one stream within a minute, of what the token may subscribe to, until the token expires.',
          responses: { 200: json('The ticket', made) },
          codes: [...codesOf.grant, 'cookie_too_large', 'cross_site', 'outcome_unknown', 'overloaded'],
        },
      },
    },
  }
}

function describeStream(): Description {
  const stream = {
    name: 'stream',
    in: 'path',
    required: true,
    description: 'The name of the stream, from hub.open',
    schema: { type: 'string', pattern: '^[0-9a-f]{32}$' },
  }
  const renewed = object(
    { stream: { type: 'string' }, topics: { type: 'array', items: { type: 'string' } }, expiresAt: ref('Time') },
    ['stream'],
  )
  return {
    paths: {
      '/streams/{stream}': {
        parameters: [stream],
        post: {
          operationId: 'renew',
          tags,
          summary: 'Renew a stream',
          description:
            'Gives an open stream a fresh token of the same sub, and optionally other topics. The stream continues at its position.',
          requestBody: {
            content: { 'application/json': { schema: schemaOf(renewal), example: { topics: ['chat/*'] } } },
          },
          responses: { 200: json('The renewed stream', renewed) },
          codes: [
            ...[...codesOf.grant, ...codesOf.topic, ...codesOf.body],
            ...(['cross_site', 'parameter_invalid', 'pattern_invalid', 'stream_unknown', 'too_many_topics'] as const),
          ],
        },
      },
    },
  }
}

function describeRevoke(): Description {
  return {
    paths: {
      '/revoke': {
        post: {
          operationId: 'revoke',
          tags,
          summary: 'Revoke tokens or an API key',
          description:
            'Revokes a token by its jti, all tokens issued to a sub until now, or an API key by its name. Tokens of a revoked sub need an iat from then on. The grant must allow to publish to `$revoked`. The streams of revoked credentials end within seconds.',
          requestBody: {
            content: { 'application/json': { schema: schemaOf(revocation), example: { jti: 'token-1' } } },
          },
          responses: { 204: { description: 'The log has the revocation' } },
          codes: [...codesOf.grant, ...codesOf.body, 'cross_site', 'outcome_unknown', 'overloaded'],
        },
      },
    },
  }
}
