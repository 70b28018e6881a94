import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import type { Runtime } from './runtimes.ts'
import { cleanUp, folder, type Server, start } from './server.ts'

export type Fetch = (path: string, init?: RequestInit & { duplex?: 'half' }) => Promise<Response>

/** Sends requests to a server. */
export function fetchOf({ url }: Pick<Server, 'url'>): Fetch {
  return (path, init) => fetch(url + path, init)
}

/** A way to run a hub with the settings of a test. */
export interface Way {
  readonly name: string
  start(settings: Record<string, string>): Promise<Fetch>
  stop(): Promise<void>
}

/** Without a server. @param env what an adapter gives with each request */
export function withoutServer(env?: object): Way {
  return {
    name: 'app.request()',
    async start(settings) {
      const config = parseConfig(settings)
      const app = createApp({ hub: new Hub(() => memoryLog(config.logOptions), config.hub), config })
      return async (path, init) => app.request(path, init, env)
    },
    async stop() {},
  }
}

/** In a process of its own, with the log in a file. */
export function over(runtime: Runtime): Way {
  return {
    name: runtime.name,
    async start(settings) {
      return fetchOf(await start({ LOG: `sqlite:${folder()}/hub.db`, ...settings }, runtime))
    },
    stop: cleanUp,
  }
}
