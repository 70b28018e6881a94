import type { Context } from 'hono'
import { isLoopback } from '../config/loopback.ts'
import { AppError, quote } from '../errors.ts'

export interface Guard {
  /** Whether requests have to name this machine. */
  readonly loopbackOnly: boolean
  /** Other origins whose pages may use the hub. */
  readonly origins: readonly string[]
}

/**
 * Refuses what no client of this hub sends by itself.
 *
 * - An open hub answers only requests that name this machine, so that no page on the web can reach it under a name of its own
 *   (DNS rebinding). The address it listens on is the first guard, this the second.
 * - What another site makes a browser do: unsafe methods from any other origin but those that are listed, and the one GET that
 *   changes something from any other origin or ahead of a click. Clients that are no browsers send none of these headers.
 *
 * @throws AppError `host_forbidden`, `cross_site`
 */
/** @param getChanges whether a GET of what is asked for changes something */
export type CheckRequest = (c: Context, getChanges: boolean) => void

export function guarded({ loopbackOnly, origins }: Guard): CheckRequest {
  return (c, getChanges) => {
    if (loopbackOnly) refuseHost(c)
    const { method } = c.req
    if (method === 'GET' || method === 'HEAD') {
      if (getChanges) refuseGet(c, origins)
    } else if (method !== 'OPTIONS') refuseForeign(c, origins) // which asks, and changes nothing
  }
}

function refuseHost(c: Context): void {
  const host = hostOf(c).replace(/:\d*$/, '')
  if (!isLoopback(host))
    throw new AppError(
      'host_forbidden',
      `Cannot serve host ${quote(host)}: this hub is open to this machine only, as localhost or 127.0.0.1; OPEN=true serves everybody`,
    )
}

function refuseGet(c: Context, origins: readonly string[]): void {
  // Another port or a sibling domain is of the same site, so that its requests have the cookie of this one's visitor.
  const site = c.req.header('sec-fetch-site')
  // Browsers do not say it to a hub without TLS on another machine; what else they say of the page stands in for it.
  const page = c.req.header('origin') ?? c.req.header('referer')
  const isKnown = page === undefined || origins.includes(originOf(page)) || isSame(page, hostOf(c))
  const isForeign = site === undefined ? !isKnown : site === 'cross-site' || site === 'same-site'
  if (isForeign) throw new AppError('cross_site', 'Cannot send from another origin: use POST from a page of this hub')
  const purpose = ['sec-purpose', 'purpose', 'x-moz'].map((name) => c.req.header(name)).join()
  if (/prefetch|preview|prerender/i.test(purpose))
    throw new AppError('cross_site', 'Cannot send ahead of a click: this request is a prefetch')
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

/** Whether an origin or a page is of a host. By host, with the port that the origin's scheme implies: behind a proxy that ends TLS our own scheme is not the browser's. */
function isSame(page: string, host: string): boolean {
  if (!URL.canParse(page)) return false
  const { protocol, host: theirs } = new URL(page)
  const ours = `${protocol}//${host}`
  return URL.canParse(ours) && new URL(ours).host === theirs
}
