import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, describe, test } from 'vitest'
import { part } from '../part.ts'
import { redisServer, withoutRedis } from '../server/redis.ts'
import { bun, deno, node } from '../server/runtimes.ts'
import { cleanUp, freePort, launch } from '../server/server.ts'

/** A hub that has no log after this time ends. */
const GIVES_UP_MS = 5000
const REPORT_MS = 1000

afterAll(cleanUp)

// The tests wait for seconds, so they run at the same time.
describe.each(part([node], [bun, deno]))(
  'a server on $name whose Redis is away at the start',
  { concurrent: true, timeout: 180_000 },
  (runtime) => {
    test('reports the failure within a second, tries again, and ends after 5 s', async ({ expect }) => {
      const url = `redis://127.0.0.1:${await freePort()}/hub`
      const running = launch({ LOG: url.replace('//', '//user:secret@'), PORT: '0' }, [], runtime)
      await running.says(
        new RegExp(`"Cannot reach the log at ${url}: .*(ECONNREFUSED|does not answer).*; trying again for 5 s"`),
      )
      const reported = performance.now()
      expect(running.child.exitCode).toBeNull()
      expect(await running.stopped).toBe(1)
      expect(performance.now() - reported).toBeGreaterThan(GIVES_UP_MS - REPORT_MS) // the start of the process takes any time
      const lines = running.output.trimEnd().split('\n')
      expect(lines).toHaveLength(2)
      expect(lines.at(-1)).toMatch(new RegExp(`^Cannot reach the log at ${url}: .*ECONNREFUSED`))
      expect(running.output).not.toContain('secret')
    })

    test('reports a Redis that does not answer', async ({ expect }) => {
      const silent = createServer(() => {}).listen(0, '127.0.0.1')
      await once(silent, 'listening')
      const { port } = silent.address() as { port: number }
      const running = launch({ LOG: `redis://127.0.0.1:${port}/hub`, PORT: '0' }, [], runtime)
      await running.says(/"Cannot reach the log at \S+: the server does not answer; trying again for 5 s"/)
      expect(running.child.exitCode).toBeNull()
      await running.kill('SIGKILL')
      silent.close()
    })

    test.skipIf(withoutRedis)('starts as soon as Redis is there', async ({ expect }) => {
      const redis = await redisServer()
      await redis.kill()
      const running = launch({ LOG: redis.url(), PORT: '0' }, [], runtime)
      await running.says(/trying again/)
      await redis.start()
      await running.says(runtime.listens)
      expect(await running.kill('SIGTERM')).toBe(0)
      await redis.kill()
    })
  },
)
