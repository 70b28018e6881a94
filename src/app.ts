import { type Context, Hono } from 'hono'
import { Clients } from './auth/clients.ts'
import { loopbackOnly } from './auth/guard.ts'
import { type Config, parseConfig } from './config.ts'
import { AppError } from './errors.ts'
import type { Hub } from './hub/hub.ts'
import type { Connection } from './routes/connection.ts'
import { event } from './routes/event.ts'
import { health, ready } from './routes/health.ts'
import { openapi } from './routes/openapi.ts'
import { type Files, page } from './routes/page.ts'
import { send } from './routes/send.ts'
import { erase, list, show } from './routes/topics.ts'

export interface AppOptions {
  readonly hub: Hub
  readonly config?: Config
  /** The page's files, where no platform serves them. */
  readonly files?: Files
}

/**
 * The hub's HTTP interface, on web standards: `fetch(Request) → Response`.
 *
 * @example
 * import { serve } from '@hono/node-server'
 * serve({ fetch: createApp({ hub: new Hub(memoryLog) }).fetch, hostname: '127.0.0.1', port: 3000 })
 */
export function createApp({ hub, config = parseConfig(), files }: AppOptions): Hono<{ Bindings: Connection }> {
  const app = new Hono<{ Bindings: Connection }>()
  const clients = new Clients(config.clients)
  const { hub: limits, body, maxBatch, stream } = config
  if (!config.open) app.use(loopbackOnly)
  allow(app, '/send', ['GET', 'POST'])
  allow(app, '/event', ['GET', 'HEAD', 'POST', 'QUERY'])
  allow(app, '/topics', ['GET', 'HEAD'])
  allow(app, '/topics/:topic{.+}', ['GET', 'HEAD', 'DELETE'])
  allow(app, '/health', ['GET', 'HEAD'])
  allow(app, '/ready', ['GET', 'HEAD'])
  allow(app, '/openapi.json', ['GET', 'HEAD'])
  app.on(['GET', 'POST'], '/send', send({ hub, clients, body, maxBatch, stream }))
  app.on(['GET', 'POST', 'QUERY'], '/event', event({ hub, clients, body, limits }))
  app.get('/topics', list(hub, limits))
  app.get('/topics/:topic{.+}', show(hub, limits))
  app.delete('/topics/:topic{.+}', erase(hub, limits))
  app.get('/health', health)
  app.get('/ready', ready(hub))
  app.get('/openapi.json', openapi())
  if (files) app.get('*', page(files))
  app.notFound((c) => c.text('Page not found', 404))
  app.onError(problem)
  return app
}

/** Other methods of a known path change nothing and say which would be right. Hono turns HEAD into GET, so it is refused by name. */
function allow(app: Hono<{ Bindings: Connection }>, path: string, methods: readonly string[]): void {
  app.use(path, async (c, next) => {
    if (methods.includes(c.req.method)) return next()
    c.header('Allow', methods.join(', '))
    throw new AppError('method_not_allowed', `Cannot ${c.req.method} ${c.req.path}: use ${methods.join(' or ')}`)
  })
}

/** Every error as `application/problem+json` (RFC 9457) with a stable `code`; what is not ours is not shown. */
function problem(error: Error, c: Context): Response {
  const known =
    error instanceof AppError
      ? error
      : new AppError('internal', 'Cannot answer: something went wrong here', { cause: error })
  if (known.status >= 500 && known.code !== 'draining') console.error(error)
  const { status, code, message, more, retryAfterS = status === 503 ? 5 : undefined } = known
  c.header('Cache-Control', 'no-store')
  if (retryAfterS !== undefined) c.header('Retry-After', `${retryAfterS}`)
  const answer = { type: 'about:blank', title: titles[status], status, code, detail: message, ...more }
  return c.body(JSON.stringify(answer), status, {
    'Content-Type': 'application/problem+json',
    'X-Content-Type-Options': 'nosniff',
  })
}

const titles = {
  400: 'Bad Request',
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
