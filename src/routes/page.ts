import type { Context, Handler } from 'hono'

/** A file of `public/`. */
export interface File {
  readonly type: string
  readonly bytes: ArrayBuffer | Uint8Array<ArrayBuffer>
}

/** Finds a file of the page by its exact path, `/` among them; nothing for what is no file of it. */
export type Files = (path: string) => Promise<File | undefined>

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

/** The description's page is a library's work: it styles inline, draws with data: URLs, and knows no trusted types. */
const docsPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const headers = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/** The page's files, by the paths at which they are served: `public/` as it stands, and the library of `/docs`. */
export const PAGES = [
  ...['/', '/docs', '/style.css', '/favicon.svg', '/docs.js', '/docs/swagger-ui.css', '/docs/swagger-ui-bundle.js'],
  ...['app', 'composer', 'entry', 'heard', 'list', 'login', 'refusal', 'row', 'send', 'state', 'stream', 'topics'].map(
    (name) => `/${name}.js`,
  ),
]

/**
 * A file of the page, where no platform serves it. Where the app is mounted at a path, the page is at that path with a slash behind it,
 * because its URLs are relative.
 */
export function page(path: string, files: Files = async () => undefined): Handler {
  return async (c) => {
    const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
    if (isRead && path === '/' && !c.req.path.endsWith('/')) return c.redirect(`${c.req.path.split('/').at(-1)}/`, 308)
    const file = isRead ? await files(path) : undefined
    if (!file) return notFound(c)
    const csp = path === '/docs' ? docsPolicy : policy
    return c.body(file.bytes, 200, { ...headers, 'Content-Security-Policy': csp, 'Content-Type': file.type })
  }
}

/** What is asked for that is not there. */
export function notFound(c: Context): Response {
  return c.text('Page not found', 404)
}
