import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { Auth } from './auth/auth.ts'
import { Clients } from './auth/clients.ts'
import { guarded } from './auth/guard.ts'
import { secured, secureHeaders, secureJson } from './auth/headers.ts'
import { type Config, parseConfig } from './config.ts'
import { AppError, type Code, quote } from './errors.ts'
import type { Hub } from './hub/hub.ts'
import { requests, type TellRequest } from './requests.ts'
import type { Connection } from './routes/connection.ts'
import { event } from './routes/event.ts'
import { health, ready } from './routes/health.ts'
import { openapi } from './routes/openapi.ts'
import { type Files, page } from './routes/page.ts'
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
}: AppOptions): Hono<{ Bindings: Connection }> {
  const app = new Hono<{ Bindings: Connection }>()
  const clients = new Clients(config.clients, (...taken) => hub.take(...taken))
  const { hub: limits, body, maxBatch, stream } = config
  const { corsOrigins, requestLog } = config
  if (tell && requestLog !== 'none') app.use(requests(tell, requestLog, (c) => clients.addressOf(c)))
  const secure = secureHeaders(corsOrigins.length > 0)
  app.use(secured(secure))
  if (corsOrigins.length > 0) app.use(cors(shared(corsOrigins)))
  app.use(guarded({ loopbackOnly: !config.open && !auth.isClosed, origins: corsOrigins }))
  app.on(['GET', 'POST'], '/send', send({ hub, auth, clients, body, maxBatch, stream, json: secureJson(secure) }))
  app.on(['GET', 'POST', 'QUERY'], '/event', event({ hub, auth, clients, body, limits }))
  app.get('/topics', list(hub, auth, limits))
  app.get('/topics/:topic{.+}', show(hub, auth, limits))
  app.delete('/topics/:topic{.+}', erase(hub, auth, limits))
  app.post('/login', login(auth))
  app.delete('/login', logout())
  app.post('/ticket', ticket(auth))
  app.post('/streams/:stream', renew(hub, auth, body, limits))
  app.post('/revoke', revoke(auth, body))
  app.get('/health', health)
  app.get('/ready', ready(hub, auth))
  app.get('/openapi.json', openapi())
  refuseOthers(app, '/send', ['GET', 'POST'])
  refuseOthers(app, '/event', ['GET', 'HEAD', 'POST', 'QUERY'])
  refuseOthers(app, '/topics', ['GET', 'HEAD'])
  refuseOthers(app, '/topics/:topic{.+}', ['GET', 'HEAD', 'DELETE'])
  refuseOthers(app, '/login', ['POST', 'DELETE'])
  refuseOthers(app, '/ticket', ['POST'])
  refuseOthers(app, '/streams/:stream', ['POST'])
  refuseOthers(app, '/revoke', ['POST'])
  refuseOthers(app, '/health', ['GET', 'HEAD'])
  refuseOthers(app, '/ready', ['GET', 'HEAD'])
  refuseOthers(app, '/openapi.json', ['GET', 'HEAD'])
  if (files) app.get('*', page(files))
  app.notFound((c) => c.text('Page not found', 404))
  app.onError(problem)
  return app
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

/** Methods of a known path that none of its handlers takes change nothing, and are told which would be right. */
function refuseOthers(app: Hono<{ Bindings: Connection }>, path: string, methods: readonly string[]): void {
  app.all(path, (c) => {
    c.header('Allow', methods.join(', '))
    throw new AppError('method_not_allowed', `Cannot ${c.req.method} ${quote(c.req.path)}: use ${methods.join(' or ')}`)
  })
}

/** Every error as `application/problem+json` (RFC 9457) with a stable `code`; what is not ours is not shown. */
function problem(error: Error, c: Context): Response {
  const known =
    error instanceof AppError
      ? error
      : new AppError('internal', 'Cannot answer: something went wrong here', { cause: error })
  // What passes by itself is told in the request log, if at all: anybody may cause it, again and again.
  if (known.status >= 500 && !passing.includes(known.code)) console.error(error)
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

const passing: readonly Code[] = ['draining', 'keys_unavailable', 'log_unavailable', 'overloaded']

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
