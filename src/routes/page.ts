import type { Handler } from 'hono'

/** A file of `public/`. */
export interface File {
  readonly type: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** The files of the page by their exact path, `/` among them. A map, because what is not in it cannot be reached by any spelling. */
export type Files = () => Promise<ReadonlyMap<string, File>>

const headers = {
  'Cache-Control': 'no-cache',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/** `/` and the files it needs. Falls through where the platform serves them itself. */
export function page(files: Files): Handler {
  return async (c, next) => {
    const file = (await files()).get(c.req.path)
    return file ? c.body(file.bytes, 200, { ...headers, 'Content-Type': file.type }) : next()
  }
}
