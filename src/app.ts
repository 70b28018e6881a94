import { type Context, type Handler, Hono } from 'hono'
import { cors } from 'hono/cors'
import type { BlankEnv } from 'hono/types'
import { Auth } from './auth/auth.ts'
import { Bodies } from './auth/bodies.ts'
import { Clients } from './auth/clients.ts'
import { type CheckRequest, guarded } from './auth/guard.ts'
import { secured, secureHeaders, secureJson } from './auth/headers.ts'
import type { GrantOf } from './auth/sessions.ts'
import { type AppSettings, parseSettings } from './config/app-settings.ts'
import type { Config } from './config/config.ts'
import { AppError, quote } from './errors.ts'
import type { Hub } from './hub/hub.ts'
import { INSIDE } from './hub/inside.ts'
import { errorLine, type LogRequest, requestLog, type WriteLine } from './requests.ts'
import type { AppSchema } from './routes/app-schema.ts'
import { publicBase } from './routes/base.ts'
import { connectionOf } from './routes/connection.ts'
import { core } from './routes/core.ts'
import { type Limits, makeDoor, type Route, type Routes } from './routes/door.ts'
import { openapi } from './routes/openapi.ts'
import { type Files, notFound, pages } from './routes/page.ts'
import { problemOf } from './routes/problem.ts'
import { joinTables } from './routes/route-tables.ts'

/**
 * What an app is made of. Without `open`, `grantOf` or keys it serves this machine only.
 *
 * @example
 * const options: AppOptions = { hub, open: true, settings: { maxBodyBytes: '1MiB' } }
 * export const app = createApp(options)
 */
export interface AppOptions {
  readonly hub: Hub
  /** Serves every client, without credentials. */
  readonly open?: boolean
  /** Lets the host's own sessions decide what a client may do. */
  readonly grantOf?: GrantOf
  /** Returns the address of a request's peer, for limits by address; `tidings/node` knows it by itself. */
  readonly addressOf?: (c: Context) => string | undefined
  /** Settings that differ from their defaults. */
  readonly settings?: AppSettings
  /** All settings, in place of `settings` and `open`: for a server that reads them from its environment with `parseConfig`. */
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
 * The type of every app, for Hono's client, which knows the routes, their parameters and their answers by it.
 *
 * @example
 * import { hc } from 'hono/client'
 * const client = hc<AppType>('http://localhost:3000')
 * const sent = await client.send.$post({ query: { topic: 'news' }, json: { data: 'It works' } })
 * if (!sent.ok) throw new Error((await sent.json()).detail)
 */
export type AppType = Hono<BlankEnv, AppSchema, '/'>

/**
 * The hub's HTTP interface, on web standards: `fetch(Request) → Response`.
 *
 * @throws AppError `config_invalid`: lists every mistake of the settings
 * @throws if two tables of routes have the same path
 * @example
 * import { serve } from '@hono/node-server'
 * serve({ fetch: createApp({ hub: new Hub(memoryLog) }).fetch, hostname: '127.0.0.1', port: 3000 })
 */
export function createApp({
  hub,
  open,
  grantOf,
  addressOf,
  settings,
  config = parseSettings({ settings, open, hasSessions: grantOf !== undefined }),
  routes = [core],
  auth = new Auth(hub, config.auth, undefined, grantOf),
  files,
  writeLine,
}: AppOptions): AppType {
  const app: AppType = new Hono()
  const clients = new Clients(
    config.clients,
    addressOf ?? ((c) => connectionOf(c)?.address),
    (...taken) => hub[INSIDE].take(...taken),
    (sentence) => console.warn(sentence),
  )
  const { body, stream, maxBatch, corsOrigins, corsHeaders } = config
  const headers = secureHeaders(corsOrigins.length > 0)
  const door = makeDoor({
    ...{
      hub,
      auth,
      clients,
      bodies: new Bodies(config.streamedBodies),
      limits: limitsOf(hub, { body, stream, maxBatch }),
    },
    base: publicBase(config.basePath, (c) => clients.isFromProxy(c)),
    json: secureJson(headers),
  })
  const tables = [pages(files), ...routes].map((table) => table(door))
  const table = joinTables([...tables, openapi(tables, door)])
  const wrap = wrapper({
    guard: guarded({
      loopbackOnly: !config.open && auth.isOpen,
      origins: corsOrigins,
      isFromProxy: (c) => clients.isFromProxy(c),
    }),
    secure: secured(headers),
    log: requestLog(config.requestLog, (c) => clients.addressOf(c), writeLine),
  })
  if (corsOrigins.length > 0) {
    const share = cors(corsOptions(corsOrigins, corsHeaders, Object.values(table)))
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

/** A form may name as many topics as a stream has, and this many other values. */
const OTHER_VALUES = 100

/** The limits of an app. Those of topics are the hub's, whose options may still change until its first use. */
function limitsOf(hub: Hub, { body, stream, maxBatch }: Pick<Config, 'body' | 'stream' | 'maxBatch'>): Limits {
  return {
    ...{ stream, maxBatch },
    get topics() {
      return hub[INSIDE].limits()
    },
    body: {
      ...body,
      get maxFormValues() {
        return hub[INSIDE].limits().maxTopics + OTHER_VALUES
      },
    },
  }
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

/** Request headers that pages of other origins may send: those of the hub, and those that libraries of pages add by themselves. */
const REQUEST_HEADERS = [
  ...['Authorization', 'Cache-Control', 'Content-Type', 'Idempotency-Key', 'Last-Event-ID', 'Prefer', 'Tidings-Run'],
  ...['X-Requested-With', 'baggage', 'sentry-trace', 'traceparent', 'tracestate'],
]

/** Lets pages of these origins use the hub with their credentials; every preflight has the same answer. */
function corsOptions(origins: readonly string[], headers: readonly string[], routes: readonly Route[]) {
  const methods = routes.flatMap(({ methods }) => Object.keys(methods)).filter((method) => method !== 'HEAD')
  return {
    origin: [...origins],
    credentials: true,
    allowMethods: [...new Set(methods)],
    allowHeaders: [...REQUEST_HEADERS, ...headers],
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
  const { status, headers, body } = problemOf(known)
  return c.body(body, status, headers)
}
