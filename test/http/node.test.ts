import { afterAll, beforeAll } from 'vitest'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { httpSuite } from './suite.ts'

let server: Server

beforeAll(async () => {
  server = await start({ LOG: `sqlite:${folder()}/hub.db`, HEARTBEAT: '1s' })
})
afterAll(cleanUp)

httpSuite({ name: 'Node', fetch: (path, init) => fetch(server.url + path, init) })
