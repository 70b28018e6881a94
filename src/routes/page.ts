import type { Handler } from 'hono'

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

/** `/` and the files it needs, where no platform serves them; of anything else a text says that there is no such page. */
export function page(files: Files = async () => undefined): Handler {
  return async (c) => {
    const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
    const file = isRead ? await files(c.req.path) : undefined
    if (!file) return c.text('Page not found', 404)
    const csp = c.req.path === '/docs' ? docsPolicy : policy
    return c.body(file.bytes, 200, { ...headers, 'Content-Security-Policy': csp, 'Content-Type': file.type })
  }
}
