import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, describe } from 'vitest'
import type { Entry } from '../../src/log/log.ts'
import { runs } from '../seed.ts'
import { random } from '../server/random.ts'
import { type RedisServer, withoutRedis } from '../server/redis.ts'
import { type Node, test } from '../server/redis-nodes.ts'
import { cleanUp } from '../server/server.ts'

const PRODUCERS = runs(6, 40)
const LEASE_MS = 1500
const GRACE_MS = 500
const SYNCED = { appendonly: 'yes', appendfsync: 'always' }

describe.skipIf(withoutRedis)(
  `producers in processes of their own${withoutRedis && ` (skipped: ${withoutRedis})`}`,
  { timeout: 360_000 },
  () => {
    const children: ChildProcess[] = []
    afterAll(async () => {
      for (const child of children) child.kill('SIGKILL')
      await cleanUp()
    })

    /** Starts a node that claims a topic and appends to it, and resolves when it has begun. */
    async function produce(server: RedisServer, topic: string): Promise<ChildProcess> {
      const args = [server.url(), topic, crypto.randomUUID(), `${LEASE_MS}`, `${GRACE_MS}`]
      const child = spawn(process.execPath, [join(import.meta.dirname, 'producer.ts'), ...args])
      children.push(child)
      await once(child.stdout, 'data')
      return child
    }
    const topics = Array.from({ length: PRODUCERS }, (_, i) => `run/${i}`)
    const produceAll = (server: RedisServer) => Promise.all(topics.map((topic) => produce(server, topic)))
    const of = ({ got }: Node, topic: string) => got.filter((entry) => entry.topic === topic)
    const ended = (node: Node) => node.got.filter(({ close }) => close).length
    /** The entries of a run: first those of the producer, all in order, and then one that ends the run. */
    const parts = (entries: readonly Entry[]) => ({
      numbers: entries.slice(0, -1).map(({ data }) => Number(data)),
      last: entries.at(-2)!,
      end: entries.at(-1)!,
    })

    test('killed while they append, their runs are ended by another node within lease, grace and a second, each once', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve(SYNCED)
      const nodes = [await join(server), await join(server)]
      const numbers = random()
      for (const child of await produceAll(server)) {
        await pause(numbers.whole(0, 200))
        child.kill('SIGKILL')
      }
      for (const node of nodes) await expect.poll(() => ended(node), { timeout: 20_000 }).toBe(PRODUCERS)
      await pause(1200) // two more looks of each node
      for (const node of nodes)
        for (const topic of topics) {
          const { numbers, last, end } = parts(of(node, topic))
          expect(numbers).toEqual(numbers.map((_, i) => i))
          expect(end).toMatchObject({ close: true, outcome: 'abandoned' })
          expect(end.time - last.time).toBeGreaterThanOrEqual(LEASE_MS + GRACE_MS)
          expect(end.time - last.time).toBeLessThan(LEASE_MS + GRACE_MS + 1000)
        }
    })

    test('killed while Redis is away, their runs end within a lease and a second after it has come back', async ({
      nodes: { serve, join },
      expect,
    }) => {
      const server = await serve(SYNCED)
      const node = await join(server)
      const running = await produceAll(server)
      await server.kill()
      for (const child of running) child.kill('SIGKILL')
      await pause(LEASE_MS + GRACE_MS + 1000)
      await server.start(SYNCED)
      const up = Date.now()
      await expect.poll(() => node.log.check().then(() => true), { timeout: 20_000 }).toBe(true)
      const back = Date.now() // the node has connected again
      expect(ended(node)).toBe(0)
      await expect.poll(() => ended(node), { timeout: 20_000 }).toBe(PRODUCERS)
      for (const topic of topics) {
        const { numbers, end } = parts(of(node, topic))
        expect(numbers).toEqual(numbers.map((_, i) => i))
        expect(end.time - up).toBeGreaterThan(LEASE_MS - 100)
        expect(end.time - back).toBeLessThan(LEASE_MS + 1000)
      }
    })
  },
)
