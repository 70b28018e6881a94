import { afterAll, beforeAll, describe } from 'vitest'
import { openRedis } from '../../src/adapters/redis.ts'
import { type RedisServer, redisServer, withoutRedis } from '../server/redis.ts'
import { cleanUp } from '../server/server.ts'
import { logSuite } from './suite.ts'

describe.skipIf(withoutRedis)(`Redis${withoutRedis && ` (skipped: ${withoutRedis})`}`, () => {
  let server: RedisServer
  let places = 0
  beforeAll(async () => {
    server = await redisServer()
  })
  afterAll(async () => {
    await server.kill()
    await cleanUp()
  })

  logSuite({
    name: 'Redis',
    survives: true,
    clockOfAnother: "it uses the server's clock, which test/fault/clock.test.ts sets",
    place() {
      const url = server.url(`hub-${++places}`)
      return { open: (options) => openRedis(url, options), remove: () => {} }
    },
  })
})
