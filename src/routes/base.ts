import type { Context } from 'hono'
import { basePath } from 'hono/route'
import { isPathPrefix } from '../prefix.ts'
import { connectionOf } from './connection.ts'

/** Returns the path at which the host has mounted this app, as in `app.route('/live', …)`; empty at the root. */
export function mountOf(c: Context): string {
  const base = basePath(c)
  return base === '/' ? '' : base.replace(/\/$/, '')
}

/** Returns the path under which clients reach this app, without a slash at its end; empty at the root. */
export type Base = (c: Context) => string

/**
 * @param prefix the path that a proxy always strips, as the operator has set it
 * @param isFromProxy whether a request came through a trusted proxy: `X-Forwarded-Prefix` then names the path that the proxy has stripped
 */
export function publicBase(prefix: string | undefined, isFromProxy: (c: Context) => boolean): Base {
  return (c) => {
    const forwarded = prefix ?? (isFromProxy(c) ? c.req.header('x-forwarded-prefix')?.replace(/\/$/, '') : undefined)
    return prefixOrNothing(forwarded) + prefixOrNothing(connectionOf(c)?.basePath) + mountOf(c)
  }
}

/** Returns the path if it is a plain one: it becomes part of URLs and cookies. */
function prefixOrNothing(path: string | undefined): string {
  return path !== undefined && isPathPrefix(path) ? path : ''
}
