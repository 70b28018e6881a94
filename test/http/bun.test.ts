import { afterAll, beforeAll } from 'vitest'
import { bun } from '../server/runtimes.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { httpSuite } from './suite.ts'

let server: Server

beforeAll(async () => {
  server = await start({ LOG: `sqlite:${folder()}/hub.db`, HEARTBEAT: '1s' }, bun)
})
afterAll(cleanUp)

httpSuite({ name: 'Bun', fetch: (path, init) => fetch(server.url + path, init) })
