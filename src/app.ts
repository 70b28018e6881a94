import { type Context, type Handler, Hono } from 'hono'
import { cors } from 'hono/cors'
import { Auth } from './auth/auth.ts'
import { Bodies } from './auth/bodies.ts'
import { Clients } from './auth/clients.ts'
import { type CheckRequest, guarded } from './auth/guard.ts'
import { secured, secureHeaders, secureJson } from './auth/headers.ts'
import { type Config, parseConfig } from './config/config.ts'
import { AppError, type Code, quote } from './errors.ts'
import type { Hub } from './hub/hub.ts'
import { errorLine, type LogRequest, requestLog, type WriteLine } from './requests.ts'
import { publicBase } from './routes/base.ts'
import { connectionOf } from './routes/connection.ts'
import { core } from './routes/core.ts'
import { makeDoor, type Route, type Routes } from './routes/door.ts'
import { openapi } from './routes/openapi.ts'
import { type Files, notFound, pages } from './routes/page.ts'
import { joinTables } from './routes/route-tables.ts'

export interface AppOptions {
  readonly hub: Hub
  readonly config?: Config
  /** Tables of routes, beside the page and `/openapi.json`; the core table if left out. */
  readonly routes?: readonly Routes[]
  /** Verifies credentials; made of the config if left out. An adapter that reads keys again while it runs passes its own. */
  readonly auth?: Auth
  /** Reads the page's files, unless the platform serves them. */
  readonly files?: Files
  /** Writes a line for an answered request. The config says which requests get a line. */
  readonly writeLine?: WriteLine
}

/**
 * The hub's HTTP interface, on web standards: `fetch(Request) → Response`.
 *
 * @throws if two tables of routes have the same path
 * @example
 * import { serve } from '@hono/node-server'
 * serve({ fetch: createApp({ hub: new Hub(memoryLog) }).fetch, hostname: '127.0.0.1', port: 3000 })
 */
export function createApp({
  hub,
  config = parseConfig(),
  routes = [core],
  auth = new Auth(hub, config.auth),
  files,
  writeLine,
}: AppOptions): Hono {
  const app = new Hono()
  const clients = new Clients(
    config.clients,
    (c) => connectionOf(c)?.address,
    (...taken) => hub.take(...taken),
  )
  const { hub: topics, body, stream, maxBatch, corsOrigins } = config
  const headers = secureHeaders(corsOrigins.length > 0)
  const door = makeDoor({
    ...{ hub, auth, clients, bodies: new Bodies(config.streamedBodies), limits: { topics, body, stream, maxBatch } },
    base: publicBase(config.basePath, (c) => clients.isFromProxy(c)),
    json: secureJson(headers),
  })
  const tables = [pages(files), ...routes].map((table) => table(door))
  const table = joinTables([...tables, openapi(tables, door)])
  const wrap = wrapper({
    guard: guarded({ loopbackOnly: !config.open && !auth.hasKeys, origins: corsOrigins }),
    secure: secured(headers),
    log: requestLog(config.requestLog, (c) => clients.addressOf(c), writeLine),
  })
  if (corsOrigins.length > 0) {
    const share = cors(corsOptions(corsOrigins, Object.values(table)))
    app.options('*', wrap(share as Handler))
    app.use(share)
  }
  for (const [path, { methods, isGetUnsafe }] of Object.entries(table)) {
    const handler = wrap(typeof methods === 'function' ? methods : byMethod(methods), isGetUnsafe)
    app.all(path, handler)
    // An app that is mounted at `/live` has its page at `/live/`, and a route of its own at `/live`. Only `route` reads this list, and
    // makes that path of the empty one. A route with a parameter instead would keep Hono from using its fast router.
    if (path === '/') app.routes.push({ basePath: '/', path: '', method: 'ALL', handler })
  }
  app.notFound(wrap(notFound) as (c: Context) => Promise<Response>)
  return app
}

/** Calls the handler of a request's method. @throws AppError `method_not_allowed` */
function byMethod(methods: Readonly<Record<string, Handler>>): Handler {
  return (c, next) => {
    if (Object.hasOwn(methods, c.req.method)) return methods[c.req.method]!(c, next)
    const allowed = Object.keys(methods)
    c.header('Allow', allowed.join(', '))
    throw new AppError('method_not_allowed', `Cannot ${c.req.method} ${quote(c.req.path)}: use ${allowed.join(' or ')}`)
  }
}

interface Steps {
  /** Throws if the request is refused, whatever its path. */
  readonly guard: CheckRequest
  /** Adds the headers that every response has. */
  readonly secure: (response: Response) => void
  readonly log: LogRequest
}

/**
 * Wraps handlers in the steps of every request. Middleware would do the same on three more levels, with 4 KB more garbage a request
 * (measured): Hono calls the only handler of a path directly.
 */
function wrapper({ guard, secure, log }: Steps): (handler: Handler, isGetUnsafe?: boolean) => Handler {
  return (handler, isGetUnsafe = false) =>
    async (c, next) => {
      const began = performance.now()
      let response: Response
      let refusal: unknown
      try {
        guard(c, isGetUnsafe)
        response = await handler(c, next)
      } catch (error) {
        refusal = error
        response = problem(error, c)
      }
      secure(response)
      log(c, response.status, refusal, began)
      return response
    }
}

/** Lets pages of these origins use the hub with their credentials; every preflight has the same answer. */
function corsOptions(origins: readonly string[], routes: readonly Route[]) {
  const methods = routes.flatMap(({ methods }) => Object.keys(methods)).filter((method) => method !== 'HEAD')
  return {
    origin: [...origins],
    credentials: true,
    allowMethods: [...new Set(methods)],
    allowHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID', 'Prefer'],
    exposeHeaders: ['Tidings-Id', 'Retry-After'],
    maxAge: 600,
  }
}

/** Answers with an error as `application/problem+json` (RFC 9457) and its stable `code`; the message of a foreign error is not shown. */
function problem(error: unknown, c: Context): Response {
  const known =
    error instanceof AppError ? error : new AppError('internal', 'Cannot answer: internal error', { cause: error })
  // Temporary errors are left to the request log: any client can cause them, again and again.
  if (known.status >= 500 && !known.isTemporary) console.error(errorLine(error))
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

/** The `WWW-Authenticate` challenge of an error that other credentials would avoid (RFC 6750, 3). */
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
