import type { Context, Handler } from 'hono'
import { withSlash } from '../prefix.ts'
import type { Description, Route, Routes } from './door.ts'

/** A file of `public/`. */
export interface File {
  readonly type: string
  readonly bytes: ArrayBuffer | Uint8Array<ArrayBuffer>
}

/** Reads a file of the page by its exact path, such as `/`; undefined for any other path. */
export type Files = (path: string) => Promise<File | undefined>

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

/** Swagger UI sets styles inline, draws with data: URLs, and does not support trusted types. */
const docsPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const headers = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/** The paths of the page's files: the files of `public/`, and the library that `/docs` uses. */
export const PAGES = [
  ...[
    '/',
    '/docs',
    '/style.css',
    '/favicon.svg',
    '/docs.css',
    '/docs.js',
    '/docs/swagger-ui.css',
    '/docs/swagger-ui-bundle.js',
  ],
  ...[
    'client',
    'client-runs',
    'client-tabs',
    'app',
    'arrows',
    'composer',
    'copy',
    'demo-stream',
    'element',
    'json',
    'list',
    'login',
    'notice',
    'refusal',
    'row',
    'run',
    'send',
    'state',
    'suggestions',
    'time-ago',
    'topics',
    'watch-demo',
    'watch-topics',
    'welcome',
  ].map((name) => `/${name}.js`),
]

/** The page's files. Without `files`, their paths are 404. */
export function pages(files: Files = async () => undefined): Routes {
  const routeOf = (path: string): Route => {
    const describe = descriptions[path]
    return { methods: page(path, files), ...(describe && { describe }) }
  }
  return () => Object.fromEntries(PAGES.map((path) => [path, routeOf(path)]))
}

/** Serves a file of the page. The page of an app that is mounted at `/live` is at `/live/`, because the page's URLs are relative. */
function page(path: string, files: Files): Handler {
  return async (c) => {
    const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
    if (isRead && path === '/' && !c.req.path.endsWith('/'))
      return c.redirect(withSlash(new URL(c.req.url).pathname), 308)
    const file = isRead ? await files(path) : undefined
    if (!file) return notFound(c)
    const csp = path === '/docs' ? docsPolicy : policy
    return c.body(file.bytes, 200, { ...headers, 'Content-Security-Policy': csp, 'Content-Type': file.type })
  }
}

/** Answers requests for unknown paths. */
export function notFound(c: Context): Response {
  return c.text('Page not found', 404)
}

const html = { description: 'The page', content: { 'text/html': { schema: { type: 'string' } } } }

const descriptions: Readonly<Record<string, () => Description>> = {
  '/': () => ({
    paths: {
      '/': {
        get: {
          operationId: 'page',
          tags: ['operate'],
          security: [],
          summary: 'The page',
          description: 'Shows a stream, and sends messages.',
          responses: { 200: html },
        },
      },
    },
  }),
  '/docs': () => ({
    paths: {
      '/docs': {
        get: {
          operationId: 'docs',
          tags: ['operate'],
          security: [],
          summary: 'This description as a page',
          description: 'A guide, and this description where the hub has Swagger UI.',
          responses: { 200: html },
        },
      },
    },
  }),
}
