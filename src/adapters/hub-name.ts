import { bearerOf, cookieOf, cookiesOf, sha256 } from '../auth/credentials.ts'
import { hubNamedBy } from '../auth/hub-named.ts'
import { isHubName, type WorkerConfig } from '../config/worker.ts'
import { withSlash } from '../prefix.ts'

/** The hub that a request is for, and the request as that hub gets it. */
export interface ForHub {
  readonly name: string
  readonly request: Request
}

/**
 * Decides by `HUB_FROM` which hub a request is for; undefined if no hub can have the name. The hub then verifies that the credentials of
 * the request name it: nothing that is read here is believed.
 */
export async function hubOf(request: Request, config: WorkerConfig): Promise<ForHub | undefined> {
  const { name, from } = config.hubs
  const own = withoutPrefix(request, config.basePath)
  if (from === undefined) return { name, request: own }
  const found = from === 'path' ? byPath(own) : { name: await nameFor(own, config), request: own }
  return isHubName(found.name) ? found : undefined
}

/** The URL of a hub's page, if a request for it lacks the slash at its end: the page's files are relative to that. */
export function pageOf({ url }: Request, { hubs, basePath }: WorkerConfig): string | undefined {
  if (hubs.from !== 'path') return
  const path = pathIn(url, basePath)
  return isHubName(path.slice(1)) ? withSlash(path) : undefined
}

async function nameFor(request: Request, { hubs, auth }: WorkerConfig): Promise<string> {
  const url = new URL(request.url)
  if (hubs.from === 'host') return url.hostname
  const { headers } = request
  const bearer = tokenIn(headers.get('authorization'))
  const token = bearer ?? url.searchParams.get('ticket') ?? loginIn(headers.get('cookie'), auth.cookieName)
  if (token === undefined) return hubs.name
  const hash = bearer === undefined || auth.apiKeys.length === 0 ? undefined : await sha256(bearer)
  return auth.apiKeys.find((key) => key.sha256 === hash)?.hub ?? hubNamedBy(token) ?? hubs.name
}

function tokenIn(authorization: string | null): string | undefined {
  try {
    return bearerOf(authorization ?? undefined)
  } catch {
    return // the hub says what is wrong with it
  }
}

function loginIn(cookie: string | null, cookieName: string): string | undefined {
  return cookieOf(cookie ?? undefined, cookiesOf(cookieName).login)
}

/** The first segment of the path names the hub, and the hub gets the rest. */
function byPath(request: Request): ForHub {
  const { pathname } = new URL(request.url)
  const [, name = '', rest = ''] = /^\/([^/]*)(\/.*)?$/.exec(pathname) ?? []
  return { name, request: at(request, rest) }
}

function withoutPrefix(request: Request, prefix: string | undefined): Request {
  return prefix === undefined ? request : at(request, pathIn(request.url, prefix))
}

/** The path of a URL, without the prefix if it has that: a proxy may have stripped it. */
function pathIn(url: string, prefix: string | undefined): string {
  const { pathname } = new URL(url)
  return prefix !== undefined && pathname.startsWith(`${prefix}/`) ? pathname.slice(prefix.length) : pathname
}

/** The same request for another path. */
function at(request: Request, pathname: string): Request {
  const url = new URL(request.url)
  if (url.pathname === pathname) return request
  url.pathname = pathname
  return new Request(url, request)
}
