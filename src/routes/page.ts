import type { Handler } from 'hono'

/** A file of `public/`. */
export interface File {
  readonly type: string
  readonly bytes: ArrayBuffer | Uint8Array<ArrayBuffer>
}

/** Finds a file of the page by its exact path, `/` among them; nothing for what is no file of it. */
export type Files = (path: string) => Promise<File | undefined>

const headers = {
  'Cache-Control': 'no-cache',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/** `/` and the files it needs. */
export function page(files: Files): Handler {
  return async (c, next) => {
    const file = await files(c.req.path)
    return file ? c.body(file.bytes, 200, { ...headers, 'Content-Type': file.type }) : next()
  }
}
