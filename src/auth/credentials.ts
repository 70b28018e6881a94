import { AppError } from '../errors.ts'

/** The names of a hub's cookies. */
export interface Cookies {
  /** Holds a page's token. The cookie is for this host only and invisible to scripts (RFC 6265bis, 4.1.3.2). */
  readonly login: string
  /** Lets a browser reconnect to `/event` after it has used up a ticket. */
  readonly event: string
}

/** @param name distinguishes the hubs of one host, whose login cookies all have the path `/` */
export function cookiesOf(name: string): Cookies {
  return { login: `__Host-${name}`, event: `__Secure-${name}-event` }
}

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i
const BASIC = /^Basic +[A-Za-z0-9._~+/-]+=*$/i

/**
 * Parses `Authorization: Bearer <token>` (RFC 6750, 2.1). Basic credentials (RFC 7617) belong to a proxy in front of the hub, which passes
 * them on: they count as no credentials.
 *
 * @throws AppError `token_invalid` for anything else
 */
export function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined || BASIC.test(header)) return
  const token = BEARER.exec(header)?.[1]
  if (token === undefined) throw notBearer()
  return token
}

/** Makes the error for an `Authorization` header without a Bearer token. */
export function notBearer(): AppError {
  return new AppError('token_invalid', 'Cannot read Authorization: expected Bearer, a space and one token')
}

/** Makes the error of a rejected token. */
export function invalid(why: string): AppError {
  return new AppError('token_invalid', `Cannot accept this token: ${why}`)
}

/** Returns the value of a cookie by its exact name; undefined if it occurs twice. */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '')
    .split(';')
    .map((pair) => pair.replace(/^[ \t]+/, ''))
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1).trimEnd())
  return values.length === 1 ? values[0] : undefined
}

/** Returns the SHA-256 of a text in hex. */
export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Compares two hashes in constant time. */
export function isEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}

/** Browsers drop a cookie whose name and value together have more bytes (RFC 6265bis, 5.6; so do Chromium and Firefox). */
const MAX_COOKIE_BYTES = 4096

/**
 * Throws if browsers would drop a cookie: the next request would come without the cookie, and its refusal would not name the cause. Names
 * and values are ASCII.
 *
 * @throws AppError `cookie_too_large`
 */
export function refuseLargeCookie(name: string, value: string): void {
  const bytes = name.length + value.length
  if (bytes > MAX_COOKIE_BYTES)
    throw new AppError(
      'cookie_too_large',
      `Cannot put this token into a cookie: it would have ${bytes} bytes, and browsers drop cookies of more than ${MAX_COOKIE_BYTES}; use a shorter token, with patterns in place of many topics`,
    )
}

/**
 * Formats a cookie that scripts cannot read. Browsers send it only over TLS or to localhost, and never with requests of other sites.
 *
 * @throws AppError `cookie_too_large`
 */
export function setCookie(name: string, value: string, path: string, expiresAt: number): string {
  refuseLargeCookie(name, value)
  const seconds = Math.max(0, Math.ceil((expiresAt - Date.now()) / 1000)) // the token inside holds its own expiry
  return `${name}=${value}; Path=${path}; Max-Age=${seconds}; HttpOnly; Secure; SameSite=Strict`
}
