import type { MiddlewareHandler } from 'hono'

/** What every answer has that does not say otherwise. */
const headers = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

export function secured(isShared: boolean): MiddlewareHandler {
  const all = Object.entries({ ...headers, ...(isShared && { 'Cross-Origin-Resource-Policy': 'cross-origin' }) })
  return async (c, next) => {
    await next()
    const given = c.res.headers
    for (const [name, value] of all) if (!given.has(name)) given.set(name, value)
  }
}
