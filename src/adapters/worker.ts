import { secureHeaders } from '../auth/headers.ts'
import { hasKeys } from '../auth/options.ts'
import { isLoopback } from '../config/loopback.ts'
import { originsOf, type WorkerConfig } from '../config/worker.ts'
import { answerFailure, type Fetcher, forward } from './forward.ts'
import { hubOf, pageOf } from './hub-name.ts'
import type { ObjectEnv } from './hub-object.ts'
import { settingsOf } from './worker-settings.ts'

export type { Published } from '../hub/internal.ts'
export type { Message } from '../log/log.ts'
export type { Polled } from '../routes/poll.ts'
export { type EntriesQuery, TidingsHub } from './hub-object.ts'

/**
 * The bindings that `wrangler.toml` declares, as far as we use them.
 *
 * @example
 * interface Bindings extends Env {
 *   readonly GREETING: string
 * }
 * const greet = ({ GREETING }: Bindings) => new Response(GREETING)
 */
export interface Env extends ObjectEnv {
  readonly HUBS: Objects & { jurisdiction?(name: string): Objects }
  readonly CORS_ORIGINS?: string
}

/** A namespace of Durable Objects. */
interface Objects {
  idFromName(name: string): unknown
  get(id: unknown, options?: { locationHint?: string }): Fetcher
}

/**
 * The Worker passes requests to the hub's object. Without keys and without `OPEN`, requests to any host but localhost get 503 instead.
 *
 * @example
 * import tidings, { type Env, TidingsHub } from 'tidings/worker'
 * export { TidingsHub }
 * export default {
 *   fetch: (request: Request, env: Env) =>
 *     new URL(request.url).pathname.startsWith('/live/') ? tidings.fetch(request, env) : new Response('Hello'),
 * }
 */
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    try {
      const config = settingsOf(env)
      const { auth, open } = config
      const isLocal = isLoopback(new URL(request.url).hostname)
      if (!isLocal && !open && !hasKeys(auth)) return closed()
      const page = pageOf(request, config)
      if (page !== undefined) return new Response(null, { status: 308, headers: { Location: page } })
      const hub = await hubOf(request, config)
      if (!hub) return notFound()
      return await forward(hub.request, connectorTo(env, hub.name, config), config.corsOrigins)
    } catch (cause) {
      return answerFailure(request, cause, originsOf(env))
    }
  },
}

/** Returns a function that makes a stub of the hub's object. */
function connectorTo({ HUBS }: Env, name: string, { hubs }: WorkerConfig): () => Fetcher {
  const { jurisdiction, locationHint } = hubs
  const objects = jurisdiction === undefined ? HUBS : HUBS.jurisdiction!(jurisdiction)
  const options = locationHint === undefined ? {} : { locationHint }
  return () => objects.get(objects.idFromName(name), options)
}

function notFound(): Response {
  return new Response('Page not found', {
    status: 404,
    headers: { ...secureHeaders(false), 'Content-Type': 'text/plain; charset=UTF-8' },
  })
}

function closed(): Response {
  return new Response(
    'This hub serves nobody: give it keys (npx wrangler secret put AUTH_SECRET), or set OPEN = "true" under [vars] in wrangler.toml to serve everybody who can reach it\n',
    { status: 503, headers: { ...secureHeaders(false), 'Content-Type': 'text/plain' } },
  )
}
