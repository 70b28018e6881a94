import { createApp } from './app.ts'
import { store } from './store.ts'

export { type AppOptions, type AppType, createApp } from './app.ts'
export type { GrantOf, SessionGrant } from './auth/sessions.ts'
export type { AppSettings } from './config/app-settings.ts'
export { type Config, parseConfig } from './config/config.ts'
export { AppError, type Code } from './errors.ts'
export type { Delivered, DeliveredEntry, DeliveredGap } from './hub/delivered.ts'
export type { Topic } from './hub/directory.ts'
export type { EntriesOptions } from './hub/entries.ts'
export type { EndReason, HubEvents } from './hub/events.ts'
export { Hub } from './hub/hub.ts'
export type { Published } from './hub/internal.ts'
export type { HubOptions, SubscribeOptions } from './hub/options.ts'
export type { Subscription } from './hub/subscription.ts'
export type { Sql } from './log/database.ts'
export type { Beginning, Durability, Entry, Log, LogOptions, Message } from './log/log.ts'
export { memoryLog } from './log/memory.ts'
export type { Outcome, OutcomeName } from './log/runs.ts'
export { sqlLog } from './log/sql.ts'
export type { Problem } from './routes/app-schema.ts'
export { core } from './routes/core.ts'
export type { Door, Route, Routes } from './routes/door.ts'
export { runs } from './runs/near.ts'
export { type RemoteOptions, remoteRuns } from './runs/remote.ts'
export type {
  ClaimOptions,
  Ending,
  Run,
  RunEntriesOptions,
  RunInfo,
  RunMessage,
  Runs,
} from './runs/run.ts'
export { store } from './store.ts'
export { Filter } from './topic.ts'

/**
 * The app over the module-level store, without the page: for bundlers that target no runtime with a file system. They leave out what is
 * marked as pure if a program does not use it: with `Filter` alone, 500 KiB.
 *
 * @example
 * import app from 'tidings'
 * const sent = await app.request('/send?message=hi')
 */
export default /* @__PURE__ */ createApp({ hub: store })
