import { createApp } from '../app.ts'
import { secureHeaders } from '../auth/headers.ts'
import { hasKeys } from '../auth/options.ts'
import { parseConfig } from '../config/config.ts'
import { isLoopback } from '../config/loopback.ts'
import type { HubEvents } from '../hub/events.ts'
import { Hub } from '../hub/hub.ts'
import { envOf } from '../routes/connection.ts'
import type { File } from '../routes/page.ts'
import { endFields, failureLine } from './event-lines.ts'
import { type ObjectState, openObject } from './object.ts'

/** The bindings that `wrangler.toml` declares, as far as we use them. */
interface Env {
  readonly HUBS: { idFromName(name: string): unknown; get(id: unknown): Fetcher }
  readonly ASSETS: Fetcher
  /** The name of this deployment's hub. */
  readonly HUB: string
  readonly OPEN?: string
}

interface Fetcher {
  fetch(request: Request | string): Promise<Response>
}

/**
 * The Worker passes requests to the hub's object. Without keys and without `OPEN`, requests to any host but localhost get 503 instead.
 */
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const isLocal = isLoopback(new URL(request.url).hostname)
    if (!isLocal && env.OPEN !== 'true' && !hasKeys(parseConfig(settingsOf(env)).auth))
      return new Response(
        'This hub serves nobody: give it keys (npx wrangler secret put AUTH_SECRET), or set OPEN = "true" under [vars] in wrangler.toml to serve everybody who can reach it\n',
        {
          status: 503,
          headers: { ...secureHeaders(false), 'Content-Type': 'text/plain' },
        },
      )
    return env.HUBS.get(env.HUBS.idFromName(env.HUB)).fetch(request)
  },
}

/** The Durable Object of one hub: one thread, one SQLite database, one order. */
export class TidingsHub {
  readonly #app: ReturnType<typeof createApp>

  constructor(state: ObjectState, env: Env) {
    const config = parseConfig(settingsOf(env))
    const warn = (message: string) => console.log(JSON.stringify({ level: 'warn', message }))
    const events: HubEvents = {
      failed: (what, cause) => console.error(failureLine(what, cause)),
      ended(subscription, why) {
        const fields = endFields(config.requestLog, subscription, why)
        if (fields) console.log(JSON.stringify(fields))
      },
    }
    const hub = new Hub(() => openObject(state, { ...config.logOptions, warn }), { ...config.hub, events })
    this.#app = createApp({
      hub,
      config,
      files: (path) => asset(env, path),
      writeLine: (line) => console.log(JSON.stringify(line)),
    })
  }

  fetch(request: Request): Response | Promise<Response> {
    // The platform sets this header; a client cannot.
    const address = request.headers.get('cf-connecting-ip')
    return this.#app.fetch(request, envOf(address === null ? {} : { address }))
  }
}

/** The bindings that are text: variables and secrets. */
function settingsOf(env: Env): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => typeof value === 'string'))
}

/** Fetches a file of the page from the platform, so that the app serves it with the same headers as on every runtime. */
async function asset({ ASSETS }: Env, path: string): Promise<File | undefined> {
  const found = await ASSETS.fetch(new Request(`https://assets.local${path}`, { redirect: 'manual' }))
  const type = found.headers.get('content-type')
  if (found.status === 200 && type) return { type, bytes: await found.arrayBuffer() }
  await found.body?.cancel()
  return
}
