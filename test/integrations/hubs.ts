import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { LogOptions } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { runs } from '../../src/runs/near.ts'
import { remoteRuns } from '../../src/runs/remote.ts'
import type { Runs } from '../../src/runs/run.ts'
import { folderInMemory } from '../server/server.ts'

/** A hub of a test, its runs as an integration gets them, and its end. */
export interface OpenHub {
  readonly hub: Hub
  readonly runs: Runs
  close(): Promise<void>
}

/** Hubs that integrations are tested with. */
export const hubs: Readonly<Record<string, (options?: Partial<LogOptions>) => OpenHub>> = {
  'a log in memory'(options) {
    const hub = new Hub(() => memoryLog(options))
    return { hub, runs: runs(hub), close: () => hub.close() }
  },
  'a log in SQLite'(options) {
    const place = folderInMemory()
    const hub = new Hub(() => openSqlite(join(place, 'hub.db'), options))
    return {
      ...{ hub, runs: runs(hub) },
      async close() {
        await hub.close()
        rmSync(place, { recursive: true })
      },
    }
  },
  'a hub over HTTP'(options) {
    const hub = new Hub(() => memoryLog(options), { windowCount: 1 }) // no entry outlives its retention in the window
    const app = createApp({ hub, open: true })
    const request = async (url: string, init: RequestInit) => app.request(url, init)
    return { hub, runs: remoteRuns({ url: 'http://localhost', fetch: request }), close: () => hub.close() }
  },
}
