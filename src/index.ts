import { createApp } from './app.ts'
import { store } from './store.ts'

export * from './portable.ts'

/**
 * The app over the module-level store, which needs no start: `await app.request('/event')`.
 * An adapter that only runtimes with a file system load reads the page's files, at the first request for one.
 *
 * @example
 * import app from 'tidings'
 * const sent = await app.request('/send?message=hi')
 */
export default /* @__PURE__ */ createApp({
  hub: store,
  files: async (path) => (await import('./adapters/files.ts')).readFile(path),
})
