import { AppError } from '../errors.ts'

/** The names of a hub's cookies. */
export interface Cookies {
  /** A page's token: of this host alone, never seen by a script (RFC 6265bis, 4.1.3.2). */
  readonly login: string
  /** A browser's own reconnect goes on by this where a ticket let it in: for `/event` alone. */
  readonly event: string
}

/** @param name tells the hubs of one host apart, whose login cookies are all at `/` */
export function cookiesOf(name: string): Cookies {
  return { login: `__Host-${name}`, event: `__Secure-${name}-event` }
}

const BEARER = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i

/** The token of `Authorization: Bearer …`, exactly so (RFC 6750, 2.1). @throws AppError `token_invalid` for anything else */
export function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined) return
  const token = BEARER.exec(header)?.[1]
  if (token !== undefined) return token
  throw new AppError('token_invalid', 'Cannot read Authorization: expected Bearer, a space and one token')
}

/** A cookie by its exact name; one given twice is none. */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '')
    .split(';')
    .map((pair) => pair.replace(/^[ \t]+/, ''))
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1).trimEnd())
  return values.length === 1 ? values[0] : undefined
}

/** SHA-256 in hex. */
export async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Whether two hashes are the same, in a time that does not tell where they differ. */
export function isEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}

/** A cookie that no script sees, that travels over TLS (and to localhost), and with no request of another site. */
export function setCookie(name: string, value: string, path: string, expiresAt: number): string {
  const seconds = Math.max(0, Math.ceil((expiresAt - Date.now()) / 1000)) // its token knows better when it ends
  return `${name}=${value}; Path=${path}; Max-Age=${seconds}; HttpOnly; Secure; SameSite=Strict`
}
