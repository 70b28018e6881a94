import type { Context } from 'hono'
import { isLoopback } from '../config/loopback.ts'
import { AppError, quote } from '../errors.ts'

export interface Guard {
  /** Whether the `Host` of a request must name this machine. */
  readonly loopbackOnly: boolean
  /** Origins of other sites whose pages may use the hub. */
  readonly origins: readonly string[]
}

/**
 * Refuses requests that a page of another site makes a browser send. Clients other than browsers send no `Sec-Fetch-Site`, `Origin` or
 * `Referer`, and pass.
 *
 * - A hub for this machine only refuses requests whose `Host` is not this machine: a page on the web cannot reach the hub under a domain of
 *   its own (DNS rebinding). The first protection is that such a hub listens on a loopback address.
 * - Unsafe methods must come from the same origin or a listed origin.
 * - A GET that changes something must come from the same origin, and must not be a prefetch.
 *
 * @param isGetUnsafe whether GET of the requested path changes something
 * @throws AppError `host_forbidden`, `cross_site`
 */
export type CheckRequest = (c: Context, isGetUnsafe: boolean) => void

export function guarded({ loopbackOnly, origins }: Guard): CheckRequest {
  return (c, isGetUnsafe) => {
    if (loopbackOnly) refuseHost(c)
    const { method } = c.req
    if (method === 'GET' || method === 'HEAD') {
      if (isGetUnsafe) refuseGet(c, origins)
    } else if (method !== 'OPTIONS') refuseForeign(c, origins) // a preflight changes nothing
  }
}

function refuseHost(c: Context): void {
  const host = hostOf(c).replace(/:\d*$/, '')
  if (!isLoopback(host))
    throw new AppError(
      'host_forbidden',
      `Cannot serve host ${quote(host)}: this hub serves this machine only, as localhost or 127.0.0.1; set OPEN=true to serve everybody`,
    )
}

function refuseGet(c: Context, origins: readonly string[]): void {
  // `same-site` is refused too: a page on another port or a sibling domain is the same site, and its requests have this hub's cookies.
  const site = c.req.header('sec-fetch-site')
  // For a hub without TLS on another machine, browsers leave Sec-Fetch-Site out; Origin or Referer then names the page.
  const page = c.req.header('origin') ?? c.req.header('referer')
  const isKnown = page === undefined || origins.includes(originOf(page)) || isSame(page, hostOf(c))
  const isForeign = site === undefined ? !isKnown : site === 'cross-site' || site === 'same-site'
  if (isForeign) throw new AppError('cross_site', 'Cannot send from another origin: use POST from a page of this hub')
  const purpose = ['sec-purpose', 'purpose', 'x-moz'].map((name) => c.req.header(name)).join()
  if (/prefetch|preview|prerender/i.test(purpose))
    throw new AppError('cross_site', 'Cannot send in a prefetch: use POST')
}

function refuseForeign(c: Context, origins: readonly string[]): void {
  const site = c.req.header('sec-fetch-site')
  const origin = c.req.header('origin')
  if (origin !== undefined && origins.includes(origin)) return
  const isForeign =
    site === undefined ? origin !== undefined && !isSame(origin, hostOf(c)) : site !== 'same-origin' && site !== 'none'
  if (isForeign)
    throw new AppError(
      'cross_site',
      'Cannot accept this request from another origin: send it from a page of this hub, or from no page',
    )
}

function hostOf(c: Context): string {
  return c.req.header('host') ?? new URL(c.req.url).host
}

function originOf(page: string): string {
  return URL.canParse(page) ? new URL(page).origin : 'null'
}

/**
 * Whether the URL or the origin of a page has this host. The scheme of the page decides which port is the default: behind a proxy that
 * terminates TLS, the request has another scheme than the page.
 */
function isSame(page: string, host: string): boolean {
  if (!URL.canParse(page)) return false
  const { protocol, host: theirs } = new URL(page)
  const ours = `${protocol}//${host}`
  return URL.canParse(ours) && new URL(ours).host === theirs
}
