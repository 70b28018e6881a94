import { afterAll, beforeAll, describe } from 'vitest'
import { type RedisServer, redisServer, withoutRedis } from '../server/redis.ts'
import type { Runtime } from '../server/runtimes.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import type { Cases } from './suite/client.ts'
import { httpSuite } from './suite.ts'

/** Runs the suite, or some of its cases, against a server of its own, on one runtime. */
export function servedSuite(runtime: Runtime, cases: Cases = 'all'): void {
  let server: Server

  beforeAll(async () => {
    server = await start({ LOG: `sqlite:${folder()}/hub.db`, HEARTBEAT: '1s' }, runtime)
  })
  afterAll(cleanUp)

  httpSuite({ name: runtime.name, cases, fetch: (path, init) => fetch(server.url + path, init) })
}

/** Runs the suite the same way, with the log in a Redis of its own. */
export function servedOverRedis(runtime: Runtime, cases: Cases = 'all'): void {
  describe.skipIf(withoutRedis)(`over Redis${withoutRedis && ` (skipped: ${withoutRedis})`}`, () => {
    let redis: RedisServer
    let server: Server

    beforeAll(async () => {
      redis = await redisServer()
      server = await start({ LOG: redis.url(), HEARTBEAT: '1s' }, runtime)
    })
    afterAll(async () => {
      await redis.kill()
      await cleanUp()
    })

    httpSuite({ name: `${runtime.name}, Redis`, cases, fetch: (path, init) => fetch(server.url + path, init) })
  })
}
