import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { parsePosition } from '../../src/hub/position.ts'
import type { Deliver, Log } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'

/** A log whose every answer comes when the scheduler says, deliveries in their order: any network could do this. */
function scheduled(log: Log, scheduler: fc.Scheduler): Log {
  const later = () => scheduler.schedule(Promise.resolve())
  const around = async <T>(call: () => Promise<T>) => {
    await later()
    const result = await call()
    await later()
    return result
  }
  let delivered = Promise.resolve()
  const behind = (deliver: Deliver) => (entries: Parameters<Deliver>[0]) => {
    delivered = delivered.then(later).then(() => deliver(entries))
  }
  return {
    ...log,
    append: (messages) => around(() => log.append(messages)),
    read: (...given) => around(() => log.read(...given)),
    topics: (query) => around(() => log.topics(query)),
    follow: (deliver) => log.follow(behind(deliver)),
  }
}

test('whatever overtakes what while subscribing, a reader gets every entry after its position once, in order', async () => {
  const publishes = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 8 })
  const names = fc.subarray(['a', 'b', '*'], { minLength: 1 })
  const reader = fc.record({ names, resumeAt: fc.option(fc.nat(4), { nil: undefined }), after: fc.nat(8) })
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      publishes,
      fc.array(reader, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 4 }),
      async (scheduler, topics, readers, windowCount) => {
        const log = memoryLog()
        await log.append([
          { topic: 'a', data: 'old 1' },
          { topic: 'b', data: 'old 2' },
        ])
        const hub = new Hub(() => scheduled(log, scheduler), { windowCount })
        const opened: { wanted: (typeof readers)[number]; stream: Reader; head: number }[] = []

        const subscribe = async (wanted: (typeof readers)[number]) => {
          for (let i = 0; i < wanted.after; i++) await scheduler.schedule(Promise.resolve()) // some come late
          const head = await log.follow(() => {})
          const lastEventId = wanted.resumeAt === undefined ? {} : { lastEventId: `${log.epoch}-${wanted.resumeAt}` }
          const subscription = (await hub.subscribe(Filter.parse(wanted.names), lastEventId))!
          opened.push({ wanted, head, stream: new Reader().follow(subscription) })
        }
        const work: Promise<unknown>[] = []
        for (const [i, topic] of topics.entries()) {
          for (const wanted of readers) if (wanted.after === i) work.push(subscribe(wanted))
          work.push(hub.publish([{ topic, data: `${i}` }]))
        }
        for (const wanted of readers) if (wanted.after >= topics.length) work.push(subscribe(wanted))
        await settle(scheduler, Promise.all(work))

        const { entries } = await log.read(0, { count: 100, bytes: 1e9 }, Filter.parse(['**']))
        for (const { wanted, head, stream } of opened) {
          const filter = Filter.parse(wanted.names)
          const from = parsePosition(stream.events[0]!.id!)!.seq
          const owed = entries.filter(({ seq, topic }) => seq > from && filter.matches(topic))
          expect(stream.data).toEqual(owed.map(({ data }) => data))
          const asked = wanted.resumeAt
          // What the log had when the reader came is no place ahead of it, whatever was delivered by then.
          if (asked !== undefined && asked <= head) expect(stream.control('gap')).toEqual([])
          if (asked !== undefined && stream.control('gap').length === 0) expect(from).toBe(asked)
        }
        await hub.close()
      },
    ),
    { seed, numRuns: runs(300, 20_000) },
  )
})

/** Lets the scheduler choose until nothing is left to choose. */
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
