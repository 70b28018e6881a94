import type { Context } from 'hono'
import { basePath } from 'hono/route'

/** A path that a proxy or a setting may put before ours: segments without anything that a URL, a header or a cookie would need quoted. */
export const PREFIX = /^(?:\/[\w.~-]+)+$/

/** The path at which this app is mounted in the app that was asked, as `app.route('/live', …)` has it; empty at the root. */
export function mountOf(c: Context): string {
  const base = basePath(c)
  return base === '/' ? '' : base.replace(/\/$/, '')
}

/** The path under which clients reach this app, without a slash at its end; empty at the root. */
export type Base = (c: Context) => string

/**
 * @param prefix what a proxy always strips from paths, as the operator says it
 * @param isFromProxy whether a request came by a proxy whose headers are believed: then `X-Forwarded-Prefix` says what it stripped
 */
export function publicBase(prefix: string | undefined, isFromProxy: (c: Context) => boolean): Base {
  return (c) => {
    const forwarded = prefix ?? (isFromProxy(c) ? c.req.header('x-forwarded-prefix')?.replace(/\/$/, '') : undefined)
    return (forwarded !== undefined && PREFIX.test(forwarded) ? forwarded : '') + mountOf(c)
  }
}
