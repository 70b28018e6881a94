import { createApp } from './app.ts'
import { store } from './store.ts'

export { type AppOptions, createApp } from './app.ts'
export { type Config, parseConfig } from './config/config.ts'
export { AppError, type Code } from './errors.ts'
export type { Topic } from './hub/directory.ts'
export type { EndReason, HubEvents } from './hub/events.ts'
export { Hub } from './hub/hub.ts'
export type { Published } from './hub/internal.ts'
export type { HubOptions, SubscribeOptions } from './hub/options.ts'
export type { Subscription } from './hub/subscription.ts'
export type { Sql } from './log/database.ts'
export type { Beginning, Durability, Entry, Log, LogOptions, Message } from './log/log.ts'
export { memoryLog } from './log/memory.ts'
export { sqlLog } from './log/sql.ts'
export { core } from './routes/core.ts'
export type { Door, Route, Routes } from './routes/door.ts'
export { store } from './store.ts'
export { Filter } from './topic.ts'

/**
 * The app over the module-level store, which needs no start: `await app.request('/event')`.
 * An adapter that only runtimes with a file system load reads the page's files, at the first request for one.
 */
export default createApp({
  hub: store,
  files: async (path) => (await import('./adapters/files.ts')).readFile(path),
})
