import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openRedis } from '../../src/adapters/redis.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Deliver, Erased, Log } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { isRest } from '../part.ts'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'
import { type RedisServer, redisServer, withoutRedis } from '../server/redis.ts'
import { cleanUp } from '../server/server.ts'
import { wireTo } from '../server/wire.ts'
import { acts, Race, readers } from './race.ts'

/** A log whose answers the scheduler delays. What it reports to followers stays in order, as on any network. */
function scheduled(log: Log, scheduler: fc.Scheduler): Log {
  const later = () => scheduler.schedule(Promise.resolve())
  const around = async <T>(call: () => Promise<T>) => {
    await later()
    const result = await call()
    await later()
    return result
  }
  let told = Promise.resolve()
  const behind =
    <Given extends unknown[]>(tell: (...given: Given) => void) =>
    (...given: Given) => {
      told = told.then(later).then(() => tell(...given))
    }
  return {
    ...log,
    append: (messages) => around(() => log.append(messages)),
    read: (...given) => around(() => log.read(...given)),
    topics: (query) => around(() => log.topics(query)),
    erase: (...given) => around(() => log.erase(...given)),
    follow: (deliver: Deliver, erased: Erased = () => {}) => log.follow(behind(deliver), behind(erased)),
  }
}

test('subscribing under any interleaving: a reader gets each entry after its position once and in order, and each close', {
  timeout: runs(180_000, 3_600_000),
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      acts,
      readers,
      fc.integer({ min: 1, max: 4 }),
      async (scheduler, happening, coming, windowCount) => {
        const log = memoryLog()
        const delayed = scheduled(log, scheduler)
        const hub = new Hub(() => delayed, { windowCount })
        const race = await Race.begin(hub, delayed, log)
        await log.append([
          { topic: 'a', data: 'old 1' },
          { topic: 'b', data: 'old 2' },
        ])
        const pause = () => scheduler.schedule(Promise.resolve())
        const work = [
          ...coming.map((wanted) => race.visit(wanted, pause)),
          ...happening.map((act, i) => race.act(act, `${i}`)),
        ]
        await settle(scheduler, Promise.all(work))
        race.check()
        await hub.close()
      },
    ),
    { seed, numRuns: runs(isRest ? 12_000 : 4000, 30_000) },
  )
})

/** Lets the scheduler choose until nothing is left to schedule. */
async function settle(scheduler: fc.Scheduler, work: Promise<unknown>): Promise<void> {
  let done = false
  work.then(
    () => {
      done = true
    },
    () => {
      done = true
    },
  )
  for (let idle = 0; idle < 6 || !done; ) {
    if (scheduler.count() > 0) {
      idle = 0
      await scheduler.waitOne()
    } else idle++
    await nextTurn()
  }
  await work
}

describe.skipIf(withoutRedis)(`over Redis${withoutRedis && ` (skipped: ${withoutRedis})`}`, () => {
  let server: RedisServer
  let hubs = 0
  beforeAll(async () => {
    server = await redisServer({ appendonly: 'no' })
  })
  afterAll(async () => {
    await server.kill()
    await cleanUp()
  })

  test('a topic that another node closes while a reader joins is closed for the reader', async () => {
    const name = `race-${++hubs}`
    const wire = await wireTo(server.port, (nth) => (nth === 0 ? 15 : 0))
    const observed = await openRedis(server.url(name))
    const log = await openRedis(`redis://127.0.0.1:${wire.port}/${name}`)
    const hub = new Hub(() => log)
    try {
      for (let i = 0; i < 20; i++) {
        const topic = `t/${i}`
        const closing = observed.append([{ topic, data: 'last', close: true }])
        if (i % 2 === 1) await nextTurn()
        const reader = new Reader().follow((await hub.subscribe(Filter.parse([topic])))!)
        await closing
        await expect.poll(() => [i, reader.control('closed').length, reader.ended]).toEqual([i, 1, true])
      }
    } finally {
      await hub.close()
      await observed.close()
      wire.close()
    }
  })

  test('the same while one of the two connections to the server is slower than the other', {
    timeout: runs(600_000, 3_600_000),
  }, async () => {
    await fc.assert(
      fc.asyncProperty(
        acts,
        readers,
        fc.record({ nth: fc.nat(1), ms: fc.integer({ min: 1, max: 15 }) }),
        async (happening, coming, slow) => {
          const name = `race-${++hubs}`
          const wire = await wireTo(server.port, (nth) => (nth === slow.nth ? slow.ms : 0))
          const observed = await openRedis(server.url(name))
          const log = await openRedis(`redis://127.0.0.1:${wire.port}/${name}`)
          const hub = new Hub(() => log)
          try {
            const race = await Race.begin(hub, log, observed)
            await hub.publish([
              { topic: 'a', data: 'old 1' },
              { topic: 'b', data: 'old 2' },
            ])
            await Promise.all([
              ...coming.map((wanted) => race.visit(wanted, nextTurn)),
              ...happening.map((act, i) => race.act(act, `${i}`)),
            ])
            await expect.poll(() => race.check(), { timeout: 15_000 }).toBeUndefined()
          } finally {
            await hub.close()
            await observed.close()
            wire.close()
          }
        },
      ),
      { seed, numRuns: runs(20, 2000), endOnFailure: true }, // each failing run waits for its timeout, so shrinking would take minutes
    )
  })
})
