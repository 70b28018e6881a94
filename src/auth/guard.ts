import type { Context } from 'hono'
import { isLoopback } from '../config/loopback.ts'
import { AppError, quote } from '../errors.ts'

export interface Guard {
  /** Whether the `Host` of a request must name this machine. */
  readonly loopbackOnly: boolean
  /** Origins of other sites whose pages may use the hub. */
  readonly origins: readonly string[]
  /** Whether a request came through a trusted proxy. */
  isFromProxy(c: Context): boolean
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
 * `Sec-Fetch-Site` decides where a browser sends it; no page can change it. For a hub without TLS on another machine, browsers leave it
 * out. Then the host of `Origin` or `Referer` must be the one that the client asked for: `Host`, or `X-Forwarded-Host` of a trusted proxy.
 *
 * @param isGetUnsafe whether GET of the requested path changes something
 * @throws AppError `host_forbidden`, `cross_site`
 */
export type CheckRequest = (c: Context, isGetUnsafe: boolean) => void

export function guarded({ loopbackOnly, origins, isFromProxy }: Guard): CheckRequest {
  const isOwn = (c: Context, page: string) =>
    isSame(page, hostOf(c)) || (isFromProxy(c) && isSame(page, forwardedHostOf(c) ?? ''))

  const refuseGet = (c: Context) => {
    // `same-site` is refused too: a page on another port or a sibling domain is the same site, and its requests have this hub's cookies.
    const site = c.req.header('sec-fetch-site')
    const page = c.req.header('origin') ?? c.req.header('referer')
    const isKnown = page === undefined || origins.includes(originOf(page)) || isOwn(c, page)
    const isForeign = site === undefined ? !isKnown : site === 'cross-site' || site === 'same-site'
    if (isForeign)
      throw new AppError(
        'cross_site',
        `Cannot send from another origin: use POST from a page of this hub${hintFor(c, site, page, isFromProxy(c))}`,
      )
    const purpose = ['sec-purpose', 'purpose', 'x-moz'].map((name) => c.req.header(name)).join()
    if (/prefetch|preview|prerender/i.test(purpose))
      throw new AppError('cross_site', 'Cannot send in a prefetch: use POST')
  }

  const refuseForeign = (c: Context) => {
    const site = c.req.header('sec-fetch-site')
    const origin = c.req.header('origin')
    if (origin !== undefined && origins.includes(origin)) return
    const isForeign =
      site === undefined ? origin !== undefined && !isOwn(c, origin) : site !== 'same-origin' && site !== 'none'
    if (isForeign)
      throw new AppError(
        'cross_site',
        `Cannot accept this request from another origin: send it from a page of this hub, or from no page${hintFor(c, site, origin, isFromProxy(c))}`,
      )
  }

  return (c, isGetUnsafe) => {
    if (loopbackOnly) refuseHost(c)
    const { method } = c.req
    if (method === 'GET' || method === 'HEAD') {
      if (isGetUnsafe) refuseGet(c)
    } else if (method !== 'OPTIONS') refuseForeign(c) // a preflight changes nothing
  }
}

function refuseHost(c: Context): void {
  const host = hostOf(c).replace(/:\d*$/, '')
  if (!isLoopback(host))
    throw new AppError(
      'host_forbidden',
      `Cannot serve host ${quote(host)}: this hub serves this machine only, as localhost or 127.0.0.1; give it keys, or set OPEN=true to serve everybody; in an app of your own, createApp({ hub, grantOf }) lets your sessions decide, and createApp({ hub, open: true }) serves everybody`,
    )
}

/** Says what a proxy lacks, if the refused page may be the hub's own behind a proxy that rewrites `Host`; '' otherwise. */
function hintFor(c: Context, site: string | undefined, page: string | undefined, isFromProxy: boolean): string {
  if (site !== undefined || page === undefined || !/^https?:/i.test(page)) return ''
  const isIgnored = !isFromProxy && forwardedHostOf(c) !== undefined
  const trust = isIgnored ? ', or name the proxy in TRUSTED_PROXIES, so that its X-Forwarded-Host counts' : ''
  return (
    `. The page is of ${quote(originOf(page))}, but Host is ${quote(hostOf(c))}: if both are this hub, let the proxy ` +
    `send the Host that it gets (nginx: proxy_set_header Host $http_host)${trust}`
  )
}

function hostOf(c: Context): string {
  return c.req.header('host') ?? new URL(c.req.url).host
}

/** Returns the host that the nearest proxy was asked for. Elements before the last one may come from anywhere. */
function forwardedHostOf(c: Context): string | undefined {
  return c.req.header('x-forwarded-host')?.replace(/^.*,/, '').trim()
}

/** Returns the origin of a page; `null` if its URL has none. `URL` knows no origins of apps, such as `capacitor://localhost`. */
function originOf(page: string): string {
  if (!URL.canParse(page)) return 'null'
  const { origin, protocol, host } = new URL(page)
  return origin === 'null' ? `${protocol}//${host}` : origin
}

/**
 * Whether the URL or the origin of a page has this host. The scheme of the page decides which port is the default: behind a proxy that
 * terminates TLS, the request has another scheme than the page. Pages of apps (`capacitor://localhost`) are never pages of this hub.
 */
function isSame(page: string, host: string): boolean {
  if (!URL.canParse(page)) return false
  const { protocol, host: theirs } = new URL(page)
  const ours = `${protocol}//${host}`
  return /^https?:$/.test(protocol) && URL.canParse(ours) && new URL(ours).host === theirs
}
