import { type Context, type Handler, Hono } from 'hono'
import { cors } from 'hono/cors'
import { Auth } from './auth/auth.ts'
import { Clients } from './auth/clients.ts'
import { type CheckRequest, guarded } from './auth/guard.ts'
import { secured, secureHeaders, secureJson } from './auth/headers.ts'
import { type Config, parseConfig } from './config/config.ts'
import { AppError, type Code, quote } from './errors.ts'
import type { Hub } from './hub/hub.ts'
import { errorLine, type NoteRequest, requestLines, type TellRequest } from './requests.ts'
import { publicBase } from './routes/base.ts'
import { connectionOf } from './routes/connection.ts'
import { event } from './routes/event.ts'
import { health, ready } from './routes/health.ts'
import { openapi } from './routes/openapi.ts'
import { type Files, notFound, PAGES, page } from './routes/page.ts'
import { send } from './routes/send.ts'
import { login, logout, renew, revoke, ticket } from './routes/session.ts'
import { erase, list, show } from './routes/topics.ts'

export interface AppOptions {
  readonly hub: Hub
  readonly config?: Config
  /** Who may do what, where an adapter reads keys anew; else of the config. */
  readonly auth?: Auth
  /** The page's files, where no platform serves them. */
  readonly files?: Files
  /** Takes note of requests: of which, the config says. */
  readonly tell?: TellRequest
}

/**
 * The hub's HTTP interface, on web standards: `fetch(Request) → Response`.
 *
 * @example
 * import { serve } from '@hono/node-server'
 * serve({ fetch: createApp({ hub: new Hub(memoryLog) }).fetch, hostname: '127.0.0.1', port: 3000 })
 */
export function createApp({
  hub,
  config = parseConfig(),
  auth = new Auth(hub, config.auth),
  files,
  tell,
}: AppOptions): Hono {
  const app = new Hono()
  const clients = new Clients(
    config.clients,
    (c) => connectionOf(c)?.address,
    (...taken) => hub.take(...taken),
  )
  const base = publicBase(config.basePath, (c) => clients.isFromProxy(c))
  const { hub: limits, body, maxBatch, stream, corsOrigins } = config
  const headers = secureHeaders(corsOrigins.length > 0)
  const answered = around({
    guard: guarded({ loopbackOnly: !config.open && !auth.isClosed, origins: corsOrigins }),
    secure: secured(headers),
    note: requestLines(config.requestLog, (c) => clients.addressOf(c), tell),
  })
  if (corsOrigins.length > 0) {
    const share = cors(shared(corsOrigins))
    app.options('*', answered(share as Handler))
    app.use(share)
  }
  const sends = send({ hub, auth, clients, body, maxBatch, stream, json: secureJson(headers) })
  const events = event({ hub, auth, clients, body, limits, base })
  const routes: Record<string, Methods> = {
    '/send': { GET: sends, POST: sends },
    '/event': { GET: events, HEAD: events, POST: events, QUERY: events },
    '/topics': reads(list(hub, auth, limits)),
    '/topics/:topic{[^]+}': { ...reads(show(hub, auth, limits)), DELETE: erase(hub, auth, limits) },
    '/login': { POST: login(auth), DELETE: logout(auth) },
    '/ticket': { POST: ticket(auth) },
    '/streams/:stream': { POST: renew(hub, auth, body, limits) },
    '/revoke': { POST: revoke(auth, body) },
    '/health': reads(health),
    '/ready': reads(ready(hub, auth)),
    '/openapi.json': reads(openapi(base, auth.cookies)),
  }
  for (const [path, methods] of Object.entries(routes))
    app.all(path, answered(byMethod(methods), CHANGING_GETS.includes(path)))
  for (const path of PAGES) app.all(path, answered(page(path, files)))
  // An app that is mounted at `/live` has its page at `/live/`. Only `route` reads this list, which makes that path of the empty one; a
  // route with a parameter in its place would take the fast router from all the others.
  app.routes.push({ basePath: '/', path: '', method: 'ALL', handler: answered(page('/', files)) })
  app.notFound(answered(notFound) as (c: Context) => Promise<Response>)
  return app
}

/** Paths of which a GET changes something: the demo's, as it was asked for. */
const CHANGING_GETS: readonly string[] = ['/send']

/** What a path takes, by method. */
type Methods = Readonly<Record<string, Handler>>

function reads(handler: Handler): Methods {
  return { GET: handler, HEAD: handler }
}

/** Methods that a path does not take change nothing, and are told which would be right. */
function byMethod(methods: Methods): Handler {
  return (c, next) => {
    if (Object.hasOwn(methods, c.req.method)) return methods[c.req.method]!(c, next)
    const allowed = Object.keys(methods)
    c.header('Allow', allowed.join(', '))
    throw new AppError('method_not_allowed', `Cannot ${c.req.method} ${quote(c.req.path)}: use ${allowed.join(' or ')}`)
  }
}

interface Around {
  /** Throws at what is refused, whatever it asks for. */
  readonly guard: CheckRequest
  /** Gives an answer the headers that each has. */
  readonly secure: (response: Response) => void
  readonly note: NoteRequest
}

/**
 * Makes handlers that have what each request goes through around them. Middleware would say the same in three more levels, and 4 KB
 * more garbage a request (measured): the only handler of a path Hono calls as it is.
 */
function around({ guard, secure, note }: Around): (handler: Handler, getChanges?: boolean) => Handler {
  return (handler, getChanges = false) =>
    async (c, next) => {
      const began = performance.now()
      let response: Response
      let refusal: unknown
      try {
        guard(c, getChanges)
        response = await handler(c, next)
      } catch (error) {
        refusal = error
        response = problem(error, c)
      }
      secure(response)
      note(c, response.status, refusal, began)
      return response
    }
}

/** For pages of listed origins, with what they are logged in by; the answer to a preflight is always the same. */
function shared(origins: readonly string[]) {
  return {
    origin: [...origins],
    credentials: true,
    allowMethods: ['GET', 'POST', 'DELETE', 'QUERY'],
    allowHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID', 'Prefer'],
    exposeHeaders: ['Tidings-Id', 'Retry-After'],
    maxAge: 600,
  }
}

/** Every error as `application/problem+json` (RFC 9457) with a stable `code`; what is not ours is not shown. */
function problem(error: unknown, c: Context): Response {
  const known =
    error instanceof AppError
      ? error
      : new AppError('internal', 'Cannot answer: something went wrong here', { cause: error })
  // What passes by itself is told in the request log, if at all: anybody may cause it, again and again.
  if (known.status >= 500 && !passing.includes(known.code)) console.error(errorLine(error))
  const { status, code, message, more, retryAfterS = status === 503 ? 5 : undefined } = known
  c.header('Cache-Control', 'no-store')
  if (retryAfterS !== undefined) c.header('Retry-After', `${retryAfterS}`)
  const challenge = challenges[code]
  if (challenge !== undefined) c.header('WWW-Authenticate', `Bearer realm="tidings"${challenge}`)
  const answer = { type: 'about:blank', title: titles[status], status, code, detail: message, ...more }
  return c.body(JSON.stringify(answer), status, {
    'Content-Type': 'application/problem+json',
    'X-Content-Type-Options': 'nosniff',
  })
}

const passing: readonly Code[] = ['draining', 'keys_unavailable', 'log_unavailable', 'log_unusable', 'overloaded']

/** What a client is told that has to show something, or something else (RFC 6750, 3). */
const challenges: Partial<Record<Code, string>> = {
  token_missing: '',
  token_invalid: ', error="invalid_token"',
  ticket_invalid: ', error="invalid_token"',
  forbidden: ', error="insufficient_scope"',
}

const titles = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
} as const
