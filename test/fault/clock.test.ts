import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, describe } from 'vitest'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { Filter } from '../../src/topic.ts'
import { clock, withoutClock } from '../server/clock.ts'
import { withoutRedis } from '../server/redis.ts'
import { type Nodes, test } from '../server/redis-nodes.ts'
import { cleanUp } from '../server/server.ts'

const YEAR_S = 365 * 86_400
const all = { count: 1000, bytes: 1e9 }
const everything = Filter.parse(['**'])
const without = withoutRedis || withoutClock

describe.skipIf(without)(
  `a log in Redis whose clock is moved${without && ` (skipped: ${without})`}`,
  { timeout: 120_000, concurrent: true },
  () => {
    const open = async ({ serve, open }: Nodes, options: Partial<LogOptions> = {}) => {
      const time = clock()
      const server = await serve(undefined, time.env)
      return { time, server, log: await open(server.url(), options) }
    }
    const say = async (log: Log, data: string, key?: string) =>
      (await log.append([{ topic: 'a', data, ...(key && { key }) }]))[0]!
    const kept = async (log: Log) => (await log.read(0, all, everything)).entries.map(({ data }) => data)
    const since = async (log: Log, at: number) =>
      (await log.read(await log.seek({ since: at }, everything), all, everything)).entries.map(({ data }) => data)

    afterAll(cleanUp)

    test('gives new entries the real time again once a clock that was a year ahead is set back', async ({
      nodes,
      expect,
    }) => {
      const { log, time } = await open(nodes)
      const before = await say(log, 'before')
      time.set(YEAR_S)
      const ahead = await say(log, 'ahead')
      expect(ahead.time - before.time).toBeGreaterThan(YEAR_S * 1000 - 10_000)
      time.set(0)
      const after = await say(log, 'after')
      expect(Math.abs(after.time - Date.now())).toBeLessThan(10_000)
      const { entries } = await log.read(0, all, everything)
      expect(entries.map((entry) => entry.time)).toEqual([before.time, ahead.time, after.time])
    })

    test('repeats the last time while the clock is a little behind', async ({ nodes, expect }) => {
      const { log, time } = await open(nodes)
      const at = Math.ceil(Date.now() / 1000) + 60
      time.stop(at)
      const ahead = await say(log, 'ahead')
      time.stop(at - 5)
      expect((await say(log, 'after')).time).toBe(ahead.time)
    })

    test('finds by time exactly the entries published after the correction', async ({ nodes, expect }) => {
      const { log, time } = await open(nodes)
      await say(log, 'before')
      time.set(YEAR_S)
      for (const data of ['ahead 1', 'ahead 2']) await say(log, data)
      time.set(0)
      // The real time of the wrongly dated entries is unknown, but not later than the time of this entry.
      const first = await say(log, 'after 1')
      await pause(20)
      const second = await say(log, 'after 2')
      await pause(20)
      const third = await say(log, 'after 3')
      expect(await since(log, first.time + 1)).toEqual(['after 2', 'after 3'])
      expect(await since(log, third.time)).toEqual(['after 3'])
      expect(await since(log, third.time + 1)).toEqual([])
      expect(await since(log, 0)).toHaveLength(6)
      // A year ahead again, and back once more.
      time.set(YEAR_S)
      await say(log, 'ahead 3')
      time.set(0)
      const end = await say(log, 'after 4')
      expect(await since(log, second.time)).toEqual(['after 2', 'after 3', 'ahead 3', 'after 4'])
      expect(await since(log, end.time + 1)).toEqual([])
    })

    test('trims entries by age, also those dated by a clock that was ahead', async ({ nodes, expect }) => {
      const ageMs = 3000
      const { log, time } = await open(nodes, { retention: { ageMs } })
      time.set(YEAR_S)
      for (const data of ['ahead 1', 'ahead 2']) await say(log, data)
      time.set(0)
      const { time: corrected } = await say(log, 'after')
      expect(await kept(log)).toEqual(['ahead 1', 'ahead 2', 'after'])
      await expect.poll(() => kept(log), { timeout: 15_000 }).toEqual([])
      expect(Date.now() - corrected).toBeGreaterThanOrEqual(ageMs)
      await say(log, 'new')
      expect(await kept(log)).toEqual(['new'])
    })

    test('trims by age an entry dated by a clock that was ahead, although no entry follows', async ({
      nodes,
      expect,
    }) => {
      const { log, time } = await open(nodes, { retention: { ageMs: 2000 } })
      time.set(YEAR_S)
      await say(log, 'ahead')
      time.set(0)
      await expect.poll(() => kept(log)).toEqual([])
    })

    test('forgets keys by age, also those dated by a clock that was ahead', async ({ nodes, expect }) => {
      const { log, time, server } = await open(nodes, { keyAgeMs: 1000, retention: { count: 1 } })
      time.set(YEAR_S)
      await say(log, 'ahead', 'k')
      time.set(0)
      await say(log, 'after 1')
      await say(log, 'after 2', 'other')
      expect(await say(log, 'ahead', 'k')).toMatchObject({ seq: 1, duplicate: true })
      await pause(1100)
      expect(await say(log, 'something else', 'k')).toMatchObject({ seq: 4, duplicate: false })
      await say(log, 'last')
      expect(await server.command(['ZRANGE', 'tidings:{hub}:keys', '0', '-1'])).toEqual(['a\nk'])
    })

    test('trims entries dated by a clock that was ahead also when :meta, with the history of the clock, was deleted', async ({
      nodes,
      expect,
    }) => {
      const { log, time, server } = await open(nodes, { retention: { ageMs: 2000 } })
      time.set(YEAR_S)
      await say(log, 'ahead', 'k')
      time.set(0)
      await say(log, 'after')
      const { epoch } = log
      await server.command(['DEL', 'tidings:{hub}:meta'])
      await expect.poll(() => log.epoch).not.toBe(epoch)
      expect(Math.abs((await say(log, 'new')).time - Date.now())).toBeLessThan(10_000)
      await expect.poll(() => kept(log), { timeout: 15_000 }).toEqual([])
    })

    test('corrects leases and rates that were dated by a clock that was ahead', async ({ nodes, expect }) => {
      const { log, time, server } = await open(nodes)
      time.set(YEAR_S)
      await nodes.open(server.url())
      await log.peers!.take('b', 100, 10)
      time.set(0)
      expect(await log.peers!.take('b', 1, 10)).toBe(0)
      const leases = async () => {
        const pairs = await server.command(['ZRANGE', 'tidings:{hub}:nodes', '0', '-1', 'WITHSCORES'])
        return (pairs as [string, number][]).map(([, end]) => end)
      }
      expect((await leases())[0]).toBeGreaterThan(Date.now() + 60_000)
      await expect
        .poll(async () => (await leases()).every((end) => end < Date.now() + 60_000), { timeout: 10_000 })
        .toBe(true)
      await expect.poll(async () => (await leases()).length, { timeout: 10_000 }).toBe(2)
    })

    test('remembers corrections of the clock only while they concern kept entries', async ({ nodes, expect }) => {
      const { log, time, server } = await open(nodes, { retention: { count: 3 } })
      const marks = async () => `${await server.command(['HGET', 'tidings:{hub}:meta', 'steps'])}`.split(' ')
      for (let i = 0; i < 5; i++) {
        time.set(YEAR_S)
        await say(log, 'ahead')
        time.set(i + 1) // each correction is later than the last, so that none replaces another
        await say(log, 'back')
      }
      expect((await marks()).map((mark) => Number(mark.split(':')[0]))).toEqual([10])
      for (let i = 0; i < 3; i++) await say(log, 'on')
      expect(await marks()).toEqual([''])
    })
  },
)
