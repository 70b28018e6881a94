import { afterAll, beforeAll } from 'vitest'
import type { Runtime } from '../server/runtimes.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { httpSuite } from './suite.ts'

/** The suite over a server of its own, on some runtime. */
export function servedSuite(runtime: Runtime): void {
  let server: Server

  beforeAll(async () => {
    server = await start({ LOG: `sqlite:${folder()}/hub.db`, HEARTBEAT: '1s' }, runtime)
  })
  afterAll(cleanUp)

  httpSuite({ name: runtime.name, fetch: (path, init) => fetch(server.url + path, init) })
}
