import { afterAll, beforeAll } from 'vitest'
import { worker } from '../server/runtimes.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { httpSuite } from './suite.ts'

let server: Server

beforeAll(async () => {
  server = await start({ LOG: `sqlite:${folder()}/hub.db`, HEARTBEAT: '1s' }, worker)
})
afterAll(cleanUp)

httpSuite({ name: 'workerd', fetch: (path, init) => fetch(server.url + path, init) })
