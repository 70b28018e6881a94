import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { Entry, Log, LogOptions, Message } from '../../src/log/log.ts'
import { Filter } from '../../src/topic.ts'
import { runs, seed } from '../seed.ts'
import { runSuite } from './runs.suite.ts'

/** Storage at which one log can be opened again and again. */
export interface Place {
  open(options?: Partial<LogOptions>): Log | Promise<Log>
  /** Removes the storage. */
  remove(): void
}

export interface Driver {
  readonly name: string
  place(): Place
  /** Whether a log keeps its entries when it is closed and opened again. */
  readonly survives: boolean
  /** Why tests cannot set the clock of this log; missing when it uses the clock of this process. */
  readonly clockOfAnother?: string
}

const all = { count: 10_000, bytes: 1e9 }
const a = (data: string, more: Partial<Message> = {}): Message => ({ topic: 'a', data, ...more })
const b = (data: string, more: Partial<Message> = {}): Message => ({ topic: 'b', data, ...more })
const said = (entries: readonly Entry[]) => entries.map(({ seq, data }) => `${seq}:${data}`)

const newest = async (log: Log, topic: string) =>
  (await log.read(0, { count: 1, bytes: 1, latest: true }, Filter.parse([topic]))).entries[0]
const closed = async (log: Log, names: string[]) =>
  new Map((await log.topics({ names })).filter((state) => state.closed > 0).map((state) => [state.topic, state.closed]))

/** Tests every promise of `Log`, for any driver. */
export function logSuite(driver: Driver): void {
  runSuite(driver)
  describe(`a log over ${driver.name}`, () => {
    const places: Place[] = []
    const logs: Log[] = []
    const at = async (place: Place, options?: Partial<LogOptions>) => {
      const log = await place.open(options)
      logs.push(log)
      return log
    }
    const place = () => {
      const made = driver.place()
      places.push(made)
      return made
    }
    const open = (options?: Partial<LogOptions>) => at(place(), options)
    const read = async (log: Log, after: number, ...names: string[]) => {
      const { entries } = await log.read(after, all, Filter.parse(names))
      return said(entries)
    }

    afterEach(async () => {
      vi.useRealTimers()
      await Promise.all(logs.splice(0).map((log) => log.close()))
      for (const made of places.splice(0)) made.remove()
    })

    test('assigns seqs that rise by exactly 1, and times that never go back', async () => {
      const log = await open()
      const receipts = [...(await log.append([a('1'), b('2')])), ...(await log.append([a('3')]))]
      expect(receipts.map(({ seq }) => seq)).toEqual([1, 2, 3])
      const { entries } = await log.read(0, all, Filter.parse(['**']))
      expect(entries.map(({ time }) => time)).toEqual(entries.map(({ time }) => time).toSorted((x, y) => x - y))
    })

    test('returns every field of a message except its key', async () => {
      const log = await open()
      await log.append([a('x', { event: 'e', retry: 1000, key: 'k' }), { topic: 'a', close: true }])
      const { entries } = await log.read(0, all, Filter.parse(['a']))
      expect(entries).toEqual([
        { topic: 'a', data: 'x', event: 'e', retry: 1000, seq: 1, time: expect.any(Number) },
        { topic: 'a', close: true, seq: 2, time: expect.any(Number) },
      ])
    })

    test('returns every character of the data, NUL included', async ({ skip }) => {
      const home = place()
      const log = await at(home)
      const texts = ['secret\0tail', '\0', 'a\0\0b\0', '\ufeffé\u{1f600}\0\ufeff', '']
      await log.append(texts.map((data, i) => a(data, { key: `${i}` })))
      const check = async (of: Log) => {
        for (const names of [['a'], ['**']]) {
          const { entries } = await of.read(0, all, Filter.parse(names))
          expect(entries.map(({ data }) => data)).toEqual(texts)
        }
        expect(await newest(of, 'a')).toMatchObject({ data: '' })
        expect(await of.append([a(texts[0]!, { key: '0' })])).toMatchObject([{ seq: 1, duplicate: true }])
      }
      await check(log)
      await log.close()
      skip(!driver.survives, 'this log does not outlive its process')
      await check(await at(home))
    })

    test('commits and delivers the appends of one turn together, in the order of the calls', async () => {
      const log = await open()
      const batches: string[][] = []
      await log.follow((entries) => batches.push(said(entries)))
      const receipts = await Promise.all([
        log.append([a('1')]),
        log.append([a('2', { key: 'k' })]),
        log.append([b('3')]),
      ])
      expect(receipts.flat().map(({ seq }) => seq)).toEqual([1, 2, 3])
      expect(batches).toEqual([['1:1', '2:2', '3:3']])
    })

    test('delivers to a follower what is appended after follow, once and in order, never before follow resolves', async () => {
      const log = await open()
      await log.append([a('before')])
      let followed = false
      const early: boolean[] = []
      const got: string[] = []
      const first = log.append([a('during')])
      const head = await log.follow((entries) => {
        early.push(!followed)
        got.push(...said(entries))
      })
      followed = true
      await first
      for (let i = 0; i < 50; i++) await log.append([a(`${i}`)])
      expect(early).not.toContain(true)
      expect(head).toBe(1)
      expect(got).toEqual(['2:during', ...Array.from({ length: 50 }, (_, i) => `${i + 3}:${i}`)])
    })

    test('commits the appends of one turn together also while it is busy, and lets timers run', async () => {
      const log = await open()
      const batches: string[][] = []
      await log.follow((entries) => batches.push(said(entries)))
      await log.append([a('1')])
      await Promise.all([log.append([a('2')]), log.append([a('3')]), log.append([a('4')])])
      expect(batches).toEqual([['1:1'], ['2:2', '3:3', '4:4']])
      let others = false
      setTimeout(() => {
        others = true
      }, 5)
      const began = performance.now()
      while (!others && performance.now() - began < 2000) await log.append([a('x')])
      expect(others).toBe(true)
    })

    test('answers a known key with the first seq, uses no new seq and delivers nothing', async () => {
      const log = await open()
      const [first] = await log.append([a('x', { key: 'k' })])
      let delivered = 0
      await log.follow((entries) => {
        delivered += entries.length
      })
      const [again] = await log.append([a('x', { key: 'k' })])
      expect(again).toEqual({ ...first, duplicate: true })
      const [next] = await log.append([a('y')])
      expect(next?.seq).toBe(2)
      expect(delivered).toBe(1)
    })

    test('keeps keys by topic: the same key in another topic is another key', async () => {
      const log = await open()
      await log.append([a('x', { key: 'k' })])
      const [other] = await log.append([b('x', { key: 'k' })])
      expect(other).toMatchObject({ seq: 2, duplicate: false })
    })

    test('refuses a known key with another payload, and the whole of its batch', async () => {
      const log = await open()
      await log.append([a('x', { key: 'k' })])
      for (const other of [a('y', { key: 'k' }), a('x', { key: 'k', event: 'e' }), a('x', { key: 'k', retry: 1000 })])
        await expect(log.append([b('neighbour'), other])).rejects.toMatchObject({ code: 'key_conflict' })
      expect(await read(log, 0, '**')).toEqual(['1:x'])
    })

    test('commits the other batches of a group when one is refused', async () => {
      const log = await open()
      const results = await Promise.allSettled([
        log.append([a('1', { key: 'k' })]),
        log.append([a('2'), a('other', { key: 'k' })]),
        log.append([a('1', { key: 'k' })]),
        log.append([a('3')]),
      ])
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
      expect(results[2]).toMatchObject({ value: [{ seq: 1, duplicate: true }] })
      expect(await read(log, 0, '**')).toEqual(['1:1', '2:3'])
    })

    test('recognizes a key that is repeated within one batch', async () => {
      const log = await open()
      const receipts = await log.append([a('x', { key: 'k' }), a('x', { key: 'k' }), a('y')])
      expect(receipts).toMatchObject([
        { seq: 1, duplicate: false },
        { seq: 1, duplicate: true },
        { seq: 2, duplicate: false },
      ])
      await expect(log.append([b('x', { key: 'k' }), b('y', { key: 'k' })])).rejects.toMatchObject({
        code: 'key_conflict',
      })
    })

    test('forgets the oldest keys beyond keyCount', async () => {
      const log = await open({ keyCount: 2 })
      for (const key of ['1', '2', '3']) await log.append([a(key, { key })])
      expect(await log.append([a('3', { key: '3' })])).toMatchObject([{ duplicate: true }])
      expect(await log.append([a('1', { key: '1' })])).toMatchObject([{ duplicate: false }])
    })

    test('forgets keys older than keyAgeMs', async () => {
      const log = await open({ keyAgeMs: 30 })
      await log.append([a('x', { key: 'k' })])
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(await log.append([a('y', { key: 'k' })])).toMatchObject([{ seq: 2, duplicate: false }])
    })

    test('reads matching entries, oldest first, and reports how far it has scanned', async () => {
      const log = await open()
      await log.append([a('1'), b('2'), { topic: 'c/d', data: '3' }, a('4')])
      expect(await read(log, 0, 'a')).toEqual(['1:1', '4:4'])
      expect(await read(log, 1, 'a', 'b')).toEqual(['2:2', '4:4'])
      expect(await read(log, 0, 'c/*')).toEqual(['3:3'])
      expect(await read(log, 0, 'b', '*/d')).toEqual(['2:2', '3:3'])
      expect((await log.read(0, all, Filter.parse(['nothing']))).scannedTo).toBe(4)
      expect((await log.read(4, all, Filter.parse(['**']))).scannedTo).toBe(4)
    })

    test('reads no more than its limits, but at least one entry, and continues after them', async () => {
      const log = await open()
      await log.append([a('1'), b('2'), a('3'), a('4'), b('5')])
      for (const names of [['a', 'b'], ['**']]) {
        const filter = Filter.parse(names)
        const first = await log.read(0, { count: 2, bytes: 1e9 }, filter)
        expect([said(first.entries), first.scannedTo]).toEqual([['1:1', '2:2'], 2])
        const two = await log.read(0, { count: 100, bytes: 4 }, filter) // an entry here weighs 2
        expect([said(two.entries), two.scannedTo]).toEqual([['1:1', '2:2'], 2])
        const one = await log.read(2, { count: 100, bytes: 1 }, filter)
        expect([said(one.entries), one.scannedTo]).toEqual([['3:3'], 3])
        const rest = await log.read(3, { count: 2, bytes: 1e9 }, filter)
        expect([said(rest.entries), rest.scannedTo]).toEqual([['4:4', '5:5'], 5])
      }
    })

    test('reads every matching entry once and in order, by any sequence of limits', async () => {
      const log = await open()
      const topics = ['a', 'b', 'c/x', 'c/y', 'd']
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.nat(4), { minLength: 1, maxLength: 40 }),
          fc.subarray(['a', 'b', 'c/*', 'd', '**'], { minLength: 1 }),
          fc.array(fc.record({ count: fc.integer({ min: 1, max: 7 }), bytes: fc.integer({ min: 1, max: 9 }) }), {
            minLength: 1,
          }),
          async (indices, names, limits) => {
            const receipts = await log.append(indices.map((i) => ({ topic: topics[i]!, data: 'x' })))
            const filter = Filter.parse(names)
            const wanted = receipts.filter((_, i) => filter.matches(topics[indices[i]!]!)).map(({ seq }) => seq)
            const got: number[] = []
            let after = receipts[0]!.seq - 1
            for (let i = 0; after < receipts.at(-1)!.seq; i++) {
              const { entries, scannedTo } = await log.read(after, limits[i % limits.length]!, filter)
              expect(scannedTo).toBeGreaterThan(after)
              got.push(...entries.map(({ seq }) => seq))
              after = scannedTo
            }
            expect(got).toEqual(wanted)
          },
        ),
        { seed, numRuns: runs(60, 2000) },
      )
    })

    test('finds the newest entry of a topic', async () => {
      const log = await open()
      expect(await newest(log, 'a')).toBeUndefined()
      await log.append([a('1'), a('2'), b('3')])
      expect(await newest(log, 'a')).toMatchObject({ seq: 2, data: '2' })
    })

    test('reads only the newest entry of each topic under latest, and reports the last one skipped', async () => {
      const log = await open()
      await log.append([
        a('1'),
        b('2'),
        a('3'),
        { topic: 'c/d', data: '4' },
        b('5'),
        { topic: 'c/d', close: true },
        a('7'),
      ])
      const latest = async (after: number, count: number, ...names: string[]) => {
        const page = await log.read(after, { count, bytes: 1e9, latest: true }, Filter.parse(names))
        return { got: said(page.entries), scannedTo: page.scannedTo, conflated: page.conflated }
      }
      expect(await latest(0, 10, 'a')).toEqual({ got: ['7:7'], scannedTo: 7, conflated: 3 })
      for (const names of [['a', 'b', 'c/d'], ['**']]) {
        const all = { got: ['4:4', '5:5', '6:undefined', '7:7'], scannedTo: 7, conflated: 3 }
        expect(await latest(0, 10, ...names)).toEqual(all)
        expect(await latest(0, 2, ...names)).toEqual({ got: ['4:4', '5:5'], scannedTo: 5, conflated: 3 })
        expect(await latest(3, 10, ...names)).toEqual({ ...all, conflated: undefined })
      }
    })

    test('reports skipped entries under latest although the limit of the read comes before the last of them', async () => {
      const log = await open()
      await log.append([a('1'), a('2'), b('3'), b('4'), { topic: 'c', data: '5' }, { topic: 'c', data: '6' }])
      for (const names of [['a', 'b', 'c'], ['**']]) {
        const page = await log.read(0, { count: 1, bytes: 1e9, latest: true }, Filter.parse(names))
        expect([said(page.entries), page.scannedTo, page.conflated]).toEqual([['2:2'], 3, 5])
      }
    })

    test('finds where the newest N entries begin, without counting a close that has no data', async () => {
      const log = await open()
      await log.append([a('1'), b('2'), a('3'), { topic: 'c', data: '4' }, a('5'), { topic: 'a', close: true }])
      const last = (n: number, ...names: string[]) => log.seek({ last: n }, Filter.parse(names))
      for (const names of [['a'], ['a', 'b'], ['a', 'b', 'c'], ['*'], ['a', '*']])
        expect(await last(1, ...names)).toBe(4)
      expect(await last(2, 'a')).toBe(2)
      expect(await last(2, 'a', 'c')).toBe(3)
      expect(await last(3, 'a', 'b', 'c')).toBe(2)
      expect(await last(3, 'a')).toBe(0)
      expect(await last(4, 'a')).toBe(0)
      expect(await last(4, '**')).toBe(1)
      expect(await last(5, '**')).toBe(0)
      expect(await last(1, 'nothing')).toBe(0)
      for (let i = 0; i < 5; i++) await log.append(Array.from({ length: 500 }, () => b('x')))
      expect(await last(2, 'a', 'c/*')).toBe(2)
      expect(await last(1501, 'b')).toBe(2506 - 1501)
      expect(await last(2000, 'b', 'x/*')).toBe(506)
    })

    test('refuses appends that exceed the bytes that may wait for a commit, and takes appends again after the commit', async () => {
      const log = await open({ maxPendingBytes: 1000 })
      const large = a('x'.repeat(600))
      const outcomes = await Promise.allSettled([log.append([large]), log.append([large]), log.append([a('small')])])
      const refused = { status: 'rejected', reason: expect.objectContaining({ code: 'overloaded', retryAfterS: 1 }) }
      expect(outcomes).toEqual([
        { status: 'fulfilled', value: [expect.objectContaining({ seq: 1 })] },
        refused,
        { status: 'fulfilled', value: [expect.objectContaining({ seq: 2 })] },
      ])
      expect((await log.append([large, large]))[1]).toMatchObject({ seq: 4 }) // a larger batch is accepted when nothing else waits
    })

    test('erases nothing, and reports nothing to followers, where there is nothing to erase', async () => {
      const log = await open()
      await log.append([a('1'), b('2')])
      await log.erase('b')
      const erased: unknown[] = []
      await log.follow(
        () => {},
        (...given) => erased.push(given),
      )
      expect([
        await log.erase('never'),
        await log.erase('b'),
        await log.erase('a', 2),
        await log.erase('a', 9),
      ]).toEqual([...[0, 0, 0, 0]])
      await log.append([a('3')])
      expect(erased).toEqual([])
    })

    test('once closes are trimmed, remembers the topics closed last; the others can be published to, with inexact gaps', async () => {
      const home = place()
      const options = { retention: { count: 2 }, closedCount: 2 }
      let log = await at(home, options)
      for (const topic of ['1', '2', '3', '4']) await log.append([{ topic, close: true }])
      await log.append([a('5'), a('6')]) // trims all four closes
      if (driver.survives) {
        await log.close()
        log = await at(home, options)
      }
      const names = ['1', '2', '3', '4']
      expect(await closed(log, names)).toEqual(
        new Map([
          ['3', 3],
          ['4', 4],
        ]),
      )
      expect((await log.topics({ prefix: '', after: '', limit: 10 })).map(({ topic }) => topic)).toEqual([
        '3',
        '4',
        'a',
      ])
      await expect(log.append([{ topic: '4', data: 'x' }])).rejects.toMatchObject({ code: 'topic_closed' })
      expect(await log.append([{ topic: '1', data: 'x' }])).toMatchObject([{ seq: 7 }])
      const trimmed = async (after: number) => (await log.read(after, all, Filter.parse(['2']))).trimmed
      expect([await trimmed(1), await trimmed(2)]).toEqual([{ to: 7, exact: false }, undefined])
    })

    test('forgets a closed topic without entries after closedAgeMs', async ({ skip }) => {
      skip(driver.clockOfAnother !== undefined, driver.clockOfAnother ?? '')
      vi.useFakeTimers({ toFake: ['Date'] })
      const log = await open({ retention: { count: 1 }, closedAgeMs: 10_000 })
      const pass = async (ms: number) => {
        vi.setSystemTime(Date.now() + ms)
        await log.append([a('x')])
      }
      await log.append([{ topic: 'b', close: true }])
      await pass(1000)
      await log.append([{ topic: 'c', close: true }])
      await pass(8900)
      expect([...(await closed(log, ['b', 'c'])).keys()]).toEqual(['b', 'c'])
      await pass(1200) // the age is exact to one hundredth of itself
      expect([...(await closed(log, ['b', 'c'])).keys()]).toEqual(['c'])
      await pass(100_000)
      expect([...(await closed(log, ['b', 'c'])).keys()]).toEqual(['c']) // the topic that was closed last stays
    })

    test('stops a search for the newest entries when its reader has gone', async () => {
      const log = await open()
      for (let i = 0; i < 5; i++) await log.append(Array.from({ length: 1000 }, () => a('x')))
      for (const names of [['none/*'], ['a']]) {
        let asked = 0
        expect(await log.seek({ last: 10_000 }, Filter.parse(names), () => ++asked === 2)).toBe(0)
        expect(asked).toBe(2)
      }
    })

    test('finds where the entries since a time begin, or 0 if older ones were trimmed', async () => {
      const log = await open({ retention: { count: 6 } })
      const filter = Filter.parse(['a'])
      const times: number[] = []
      for (let i = 0; i < 8; i++) {
        times.push((await log.append([a(`${i}`)]))[0]!.time)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      // kept: 3…8
      for (let i = 3; i < 8; i++) expect(await log.seek({ since: times[i]! }, filter)).toBe(i)
      expect(await log.seek({ since: times[7]! + 1 }, filter)).toBe(8)
      expect(await log.seek({ since: times[2]! }, filter)).toBe(0)
      expect(await log.seek({ since: 0 }, filter)).toBe(0)
    })

    test('lists topics in the order of their names, with newest seq, count and close, a page at a time', async () => {
      const log = await open({ retention: { topicCount: 2 } })
      await log.append([b('1'), a('2'), a('3'), a('4'), { topic: 'c', close: true }, { topic: '$store', data: '6' }])
      const names = async (prefix: string, after: string, limit: number) =>
        (await log.topics({ prefix, after, limit })).map(({ topic }) => topic)
      expect(await names('', '', 10)).toEqual(['$store', 'a', 'b', 'c'])
      expect(await names('', 'a', 1)).toEqual(['b'])
      await log.append([
        { topic: 'c/1', data: 'x' },
        { topic: 'c0', data: 'x' },
      ])
      expect(await names('c/', '', 10)).toEqual(['c/1'])
      expect(await names('c', 'c', 10)).toEqual(['c/1', 'c0'])
      expect(await log.topics({ prefix: '', after: '$store', limit: 3 })).toEqual([
        { topic: 'a', last: 4, count: 2, closed: 0 },
        { topic: 'b', last: 1, count: 1, closed: 0 },
        { topic: 'c', last: 5, count: 1, closed: 5 },
      ])
      expect(await log.topics({ names: ['b', 'unheard'] })).toEqual([
        { topic: 'b', last: 1, count: 1, closed: 0 },
        { topic: 'unheard', last: 0, count: 0, closed: 0 },
      ])
    })

    test('erases one entry: its seq stays taken, its key stays known, and there is no gap', async ({ skip }) => {
      const home = place()
      const log = await at(home)
      await log.append([a('1', { key: 'k' }), a('2', { event: 'e' }), b('3'), a('4', { key: 'k4' })])
      const heard: unknown[] = []
      await log.follow(
        () => {},
        (...erased) => heard.push(erased),
      )
      expect(await log.erase('a', 2)).toBe(1)
      expect(await log.erase('a', 4)).toBe(1)
      for (const [topic, seq] of [
        ['a', 2],
        ['a', 3],
        ['b', 2],
        ['a', 9],
      ] as const)
        expect(await log.erase(topic, seq)).toBe(0)
      expect(heard).toEqual([
        ['a', 2, 2],
        ['a', 4, 4],
      ])
      const check = async (of: Log) => {
        const page = await of.read(0, all, Filter.parse(['**']))
        expect([said(page.entries), page.scannedTo, page.trimmed]).toEqual([['1:1', '3:3'], 4, undefined])
        expect(await of.topics({ names: ['a'] })).toMatchObject([{ count: 1 }])
        expect(await newest(of, 'a')).toMatchObject({ seq: 1 })
        expect(await of.append([a('4', { key: 'k4' })])).toMatchObject([{ seq: 4, duplicate: true }])
      }
      await check(log)
      await log.close()
      skip(!driver.survives, 'this log does not outlive its process')
      await check(await at(home))
    })

    test('erases the data of a close, and keeps the topic closed', async () => {
      const log = await open()
      await log.append([a('1'), a('2', { close: true, event: 'e' })])
      expect(await log.erase('a', 2)).toBe(1)
      const { entries } = await log.read(0, all, Filter.parse(['a']))
      expect(entries).toMatchObject([{ data: '1' }, { close: true, seq: 2 }])
      expect(entries[1]).not.toHaveProperty('data')
      expect(entries[1]).not.toHaveProperty('event')
      await expect(log.append([a('3')])).rejects.toMatchObject({ code: 'topic_closed' })
    })

    test('erases a topic: its readers get an exact gap, others none; it is open again, and its keys stay known', async ({
      skip,
    }) => {
      const home = place()
      const log = await at(home)
      const heard: unknown[] = []
      await log.follow(
        () => {},
        (...erased) => heard.push(erased),
      )
      await log.append([a('1', { key: 'k' }), b('2')])
      for (let i = 0; i < 5; i++) await log.append(Array.from({ length: 500 }, () => a('x')))
      await log.append([a('end', { close: true })])
      const [forgotten] = await Promise.all([log.erase('a'), log.append([b('meanwhile')])])
      expect(forgotten).toBe(2502)
      expect(heard).toEqual([['a', undefined, 2503]])
      await log.append([a('new')])
      const check = async (of: Log) => {
        expect(await read(of, 0, 'a')).toEqual(['2505:new'])
        expect(await read(of, 0, 'b')).toEqual(['2:2', '2504:meanwhile'])
        expect((await of.read(0, all, Filter.parse(['a']))).trimmed).toEqual({ to: 2503, exact: true })
        expect((await of.read(2503, all, Filter.parse(['a']))).trimmed).toBeUndefined()
        expect((await of.read(0, all, Filter.parse(['b']))).trimmed).toBeUndefined()
        expect((await of.read(0, all, Filter.parse(['*']))).trimmed).toEqual({ to: 2503, exact: true })
        expect(await of.topics({ names: ['a'] })).toEqual([{ topic: 'a', last: 2505, count: 1, closed: 0 }])
        expect(await of.append([a('1', { key: 'k' })])).toMatchObject([{ seq: 1, duplicate: true }])
      }
      await check(log)
      expect(await log.erase('unheard')).toBe(0)
      await log.close()
      skip(!driver.survives, 'this log does not outlive its process')
      await check(await at(home))
    })

    test('does not count erased entries towards its bounds', async () => {
      const log = await open({ retention: { count: 3, bytes: 100 } })
      await log.append([a('1'), a('2'), a('3')])
      await log.erase('a', 2)
      await log.append([a('4')])
      expect(await read(log, 0, 'a')).toEqual(['1:1', '3:3', '4:4'])
      await log.erase('a')
      await log.append([b('5'), b('6'), b('7')])
      expect(await read(log, 0, 'b')).toEqual(['5:5', '6:6', '7:7'])
    })

    test('keeps at most count entries of the whole log, and topicCount of each topic', async () => {
      const whole = await open({ retention: { count: 3 } })
      for (let i = 1; i <= 10; i++) await whole.append([a(`${i}`)])
      expect(await read(whole, 0, 'a')).toEqual(['8:8', '9:9', '10:10'])

      const each = await open({ retention: { topicCount: 2 } })
      for (let i = 1; i <= 6; i++) await each.append([i % 3 === 0 ? b(`${i}`) : a(`${i}`)])
      expect(await read(each, 0, '**')).toEqual(['3:3', '4:4', '5:5', '6:6'])
    })

    test('keeps at most bytes of the whole log, and topicBytes of each topic: of topic names, event names and data', async () => {
      const log = await open({ retention: { bytes: 10 } })
      await log.append([a('1234'), a('1234'), a('é')])
      expect(await read(log, 0, 'a')).toEqual(['2:1234', '3:é'])
      const each = await open({ retention: { topicBytes: 5 } })
      await each.append([a('1'), b('12'), a('12'), a('3', { event: 'e' })])
      expect(await read(each, 0, '**')).toEqual(['2:12', '4:3'])
    })

    test('trims entries older than ageMs without a further append', async () => {
      const log = await open({ retention: { ageMs: 40 } })
      for (let i = 0; i < 10; i++) await log.append(Array.from({ length: 500 }, () => a('x')))
      await expect.poll(() => read(log, 0, 'a'), { timeout: 2000 }).toEqual([])
    })

    test('never returns entries that became too old while it was closed', async ({ skip }) => {
      skip(!driver.survives, 'this log does not outlive its process')
      const where = place()
      const first = await at(where)
      await first.append(Array.from({ length: 1500 }, () => a('old')))
      await first.close()
      await new Promise((resolve) => setTimeout(resolve, 60))
      const log = await at(where, { retention: { ageMs: 50 } })
      expect(await read(log, 0, 'a')).toEqual([])
      await log.append([a('new')])
      expect(await read(log, 1500, 'a')).toEqual(['1501:new'])
    })

    test('never trims the newest entry of a $ topic', async () => {
      for (const retention of [{ count: 2 }, { topicBytes: 1 }]) {
        const log = await open({ retention })
        await log.append([{ topic: '$store', data: 'old' }])
        await log.append([{ topic: '$store', data: 'new' }])
        for (let i = 0; i < 300; i++) await log.append([a(`${i}`)])
        expect(await newest(log, '$store')).toMatchObject({ data: 'new', seq: 2 })
        expect(await read(log, 0, '$store')).toEqual(['2:new'])
      }
    })

    test('trims entries behind an entry that it must keep', async () => {
      const log = await open({ retention: { count: 100 } })
      await log.append([{ topic: '$store', data: 'state' }])
      for (let i = 0; i < 40; i++) await log.append(Array.from({ length: 50 }, (_, k) => a(`${50 * i + k}`)))
      const kept = await read(log, 0, '**')
      expect([kept.length, kept[0]]).toEqual([99, '1903:1901'])
    })

    test('trims entries behind thousands of entries that it must keep', async () => {
      const log = await open({ retention: { count: 3000 } })
      const state = (i: number, data: string): Message => ({ topic: `$state/${i}`, data })
      for (let i = 0; i < 2000; i += 500) await log.append(Array.from({ length: 500 }, (_, k) => state(i + k, 'old')))
      const kept = async () => {
        const found = await log.topics({ names: ['a', '$state/0', '$state/1'] })
        return found.map(({ count }) => count)
      }
      for (let i = 0; i < 4; i++) await log.append(Array.from({ length: 500 }, () => a('x')))
      await expect.poll(kept, { timeout: 5000 }).toEqual([1000, 1, 1])
      await log.append([state(0, 'new')])
      await log.append([a('x')])
      await expect.poll(kept, { timeout: 5000 }).toEqual([1000, 1, 1])
    })

    test('trims thousands of entries down to a lowered bound without further appends', async ({ skip }) => {
      skip(!driver.survives, 'this log does not outlive its process')
      const home = place()
      const wide = await at(home)
      for (let i = 0; i < 10; i++) await wide.append(Array.from({ length: 500 }, () => a('x')))
      await wide.close()
      const log = await at(home, { retention: { count: 10 } })
      await log.append([a('last')])
      await expect.poll(async () => (await read(log, 0, 'a')).length).toBe(10)
    })

    describe('when the clock was a year ahead and is set back', () => {
      const base = Date.now()
      const clockAt = (ms: number) => vi.setSystemTime(base + ms)
      const YEAR = 365 * 24 * 3_600_000
      const prepare = (skip: (condition: boolean, why: string) => void) => {
        skip(driver.clockOfAnother !== undefined, driver.clockOfAnother ?? '')
        vi.useFakeTimers({ toFake: ['Date'] })
        clockAt(0)
      }
      afterEach(() => void vi.useRealTimers())

      test('gives new entries the real time, but the last time again after a small step back', async ({ skip }) => {
        prepare(skip)
        const home = place()
        const log = await at(home)
        for (const ms of [0, YEAR, 1000, 2000, -3000, 4000]) {
          clockAt(ms)
          await log.append([a(`${ms}`)])
        }
        const check = async (of: Log) => {
          const { entries } = await of.read(0, all, Filter.parse(['a']))
          expect(entries.map(({ time }) => time - base)).toEqual([0, YEAR, 1000, 2000, 2000, 4000])
          const since = (ms: number) => of.seek({ since: base + ms }, Filter.parse(['a']))
          // An entry with a time in the future was appended before the clock was set back; the exact time is unknown.
          expect(await Promise.all([0, 1, 1000, 1001, 2000, 2001, 4000, 4001].map(since))).toEqual([
            ...[0, 1, 1, 3, 3, 5, 5, 6],
          ])
        }
        await check(log)
        await log.close()
        skip(!driver.survives, 'this log does not outlive its process')
        await check(await at(home))
      })

      test('trims by age the entries appended before and after the correction', async ({ skip }) => {
        prepare(skip)
        const log = await open({ retention: { ageMs: 60_000 } })
        for (const ms of [YEAR, YEAR + 1000, 1000, 30_000]) {
          clockAt(ms)
          await log.append([a(`${ms}`)])
        }
        clockAt(60_000)
        await log.append([b('x')])
        expect(await read(log, 0, 'a')).toHaveLength(4)
        clockAt(61_001)
        await log.append([b('x')])
        expect(await read(log, 0, 'a')).toEqual(['4:30000'])
      })

      test.for([
        ['and another entry follows', false, true],
        ['and no entry follows', false, false],
        ['while the log is closed, and no entry follows', true, false],
      ] as const)('trims by age without a further append: %s', async ([, isClosed, isFollowed], { skip }) => {
        prepare(skip)
        skip(isClosed && !driver.survives, 'this log does not outlive its process')
        const [home, retention] = [place(), { ageMs: 500 }]
        let log = await at(home, { retention })
        clockAt(YEAR)
        await log.append([a('ahead')])
        if (isClosed) await log.close()
        clockAt(0)
        if (isClosed) log = await at(home, { retention })
        expect(await read(log, 0, 'a')).toEqual(['1:ahead'])
        await new Promise((resolve) => setTimeout(resolve, 2 * retention.ageMs)) // a sweep that finds nothing to trim
        if (isFollowed) await log.append([a('after')])
        let ms = 0
        const left = () => {
          ms += 50
          clockAt(ms)
          return read(log, 0, 'a')
        }
        await expect.poll(left).toEqual([])
      })

      test('forgets by age the keys used before and after the correction', async ({ skip }) => {
        prepare(skip)
        const log = await open({ keyAgeMs: 60_000 })
        for (const [i, ms] of [YEAR, 1000].entries()) {
          clockAt(ms)
          await log.append([a('x', { key: `${i}` })])
        }
        clockAt(50_000)
        expect(await log.append([a('x', { key: '0' })])).toMatchObject([{ duplicate: true }])
        clockAt(61_001)
        for (const key of ['0', '1']) expect(await log.append([a('y', { key })])).toMatchObject([{ duplicate: false }])
      })

      test('since finds the right entry after the clock went back 150 times', async ({ skip }) => {
        prepare(skip)
        const log = await open()
        for (let i = 0; i < 300; i++) {
          clockAt(i % 2 === 0 ? YEAR + i : i)
          await log.append([a(`${i}`)])
        }
        const since = (ms: number) => log.seek({ since: base + ms }, Filter.parse(['a']))
        expect(await Promise.all([0, 297, 299, 300].map(since))).toEqual([0, 296, 298, 300])
      })
    })

    test('reports exactly what was trimmed of the given topics, and raises no false alarm for a quiet topic', async () => {
      const log = await open({ retention: { count: 3 } })
      await log.append([b('quiet')]) // 1
      for (let i = 2; i <= 6; i++) await log.append([a(`${i}`)])
      await log.append([b('7')])
      // kept: 5 6 7; trimmed of b: 1, of a: 4
      const trimmed = async (after: number, ...names: string[]) =>
        (await log.read(after, all, Filter.parse(names))).trimmed
      expect(await trimmed(0, 'a')).toEqual({ to: 4, exact: true })
      expect(await trimmed(3, 'a')).toEqual({ to: 4, exact: true })
      expect(await trimmed(4, 'a')).toBeUndefined()
      expect(await trimmed(0, 'b')).toEqual({ to: 1, exact: true })
      expect(await trimmed(1, 'b')).toBeUndefined()
      expect(await trimmed(1, 'a', 'b')).toEqual({ to: 4, exact: true })
      expect(await trimmed(1, '**')).toEqual({ to: 4, exact: true })
      expect(await trimmed(0, 'other')).toBeUndefined()
      expect(await trimmed(0, 'other/**')).toBeUndefined()
    })

    test('reports what was trimmed to several readers of one pattern at different positions', async () => {
      const log = await open({ retention: { topicCount: 1 } })
      const topics = Array.from({ length: 3000 }, (_, i) => `t/${i}`)
      for (let twice = 0; twice < 2; twice++) await log.append(topics.map((topic) => ({ topic, data: 'x' })))
      const filter = Filter.parse(['t/*'])
      const ask = async (after: number) => (await log.read(after, { count: 1, bytes: 1 }, filter)).trimmed?.to
      const asked = [2999, 0, 1500, 3000, 10, 2998]
      const trim = log.append([{ topic: 't/0', data: 'x' }]) // trims 3001 while they read
      const answers = await Promise.all(asked.map(ask))
      await trim
      for (const [i, after] of asked.entries())
        expect([3000, 3001, after < 3000 ? 3000 : undefined]).toContain(answers[i])
      expect(await Promise.all(asked.map(ask))).toEqual(asked.map(() => 3001))
      expect(await ask(3001)).toBeUndefined()
    })

    test('folds the oldest trimmed topics beyond trimmedCount into a floor; a gap below it is not exact', async () => {
      const log = await open({ retention: { count: 1 }, trimmedCount: 3 })
      for (let i = 1; i <= 10; i++) await log.append([{ topic: `t/${i}`, data: 'x' }])
      // trimmed: 1…9; remembered: 7 8 9; floor 6
      const trimmed = async (after: number, name: string) => (await log.read(after, all, Filter.parse([name]))).trimmed
      expect(await trimmed(5, 't/2')).toEqual({ to: 10, exact: false })
      expect(await trimmed(6, 't/2')).toBeUndefined()
      expect(await trimmed(6, 't/7')).toEqual({ to: 7, exact: true })
      expect(await trimmed(6, 't/*')).toEqual({ to: 9, exact: true })
      expect(await trimmed(9, 't/*')).toBeUndefined()
    })

    test('remembers the newest trimmedCount topics without entries, also after entries were erased one by one', async () => {
      const log = await open({ retention: { topicCount: 1 }, trimmedCount: 3 })
      // Each topic is left without an entry and without a trimmed seq.
      for (let i = 1; i <= 6; i++) {
        await log.append([{ topic: `erased/${i}`, data: 'x' }])
        await log.erase(`erased/${i}`, i)
      }
      for (let i = 7; i <= 9; i++) await log.append([a(`${i}`)]) // trims 7, then 8
      for (let i = 10; i <= 12; i++) {
        await log.append([{ topic: `t/${i}`, data: 'x' }])
        await log.erase(`t/${i}`)
      }
      // remembered: 10 11 12
      const trimmed = async (after: number, name: string) => (await log.read(after, all, Filter.parse([name]))).trimmed
      for (const seq of [10, 11, 12]) expect(await trimmed(seq - 1, `t/${seq}`)).toEqual({ to: seq, exact: true })
      await log.append([{ topic: 't/13', data: 'x' }])
      await log.erase('t/13')
      expect(await trimmed(9, 't/10')).toEqual({ to: 13, exact: false })
      expect(await trimmed(10, 't/11')).toEqual({ to: 11, exact: true })
    })

    test('refuses appends to a closed topic, but still answers its known keys', async () => {
      const log = await open()
      await log.append([a('1', { key: 'k' }), a('2', { close: true })])
      await expect(log.append([b('neighbour'), a('3')])).rejects.toMatchObject({ code: 'topic_closed' })
      await expect(log.append([b('x', { close: true }), b('y')])).rejects.toMatchObject({ code: 'topic_closed' })
      expect(await log.append([a('1', { key: 'k' })])).toMatchObject([{ seq: 1, duplicate: true }])
      expect(await closed(log, ['a', 'b'])).toEqual(new Map([['a', 2]]))
      expect(await read(log, 0, '**')).toEqual(['1:1', '2:2'])
    })

    test('keeps a topic closed when retention has trimmed its entries', async () => {
      const log = await open({ retention: { count: 1 }, trimmedCount: 1 })
      await log.append([a('1', { close: true })])
      for (let i = 0; i < 5; i++) await log.append([{ topic: `t/${i}`, data: 'x' }])
      expect(await closed(log, ['a'])).toEqual(new Map([['a', 1]]))
      await expect(log.append([a('2')])).rejects.toMatchObject({ code: 'topic_closed' })
    })

    test('passes checks beside appends, and checks use no seq', async () => {
      const home = place()
      const log = await at(home)
      const work: Promise<unknown>[] = []
      for (let i = 0; i < 20; i++) work.push(log.append([a(`${i}`)]), log.check())
      await Promise.all(work)
      await log.close()
      if (!driver.survives) return
      const again = await at(home)
      expect(await again.append([a('after')])).toMatchObject([{ seq: 21 }])
    })

    test('refuses appends and checks once it is closed, and can be closed twice', async () => {
      const log = await open()
      const pending = log.append([a('1')])
      await Promise.all([log.close(), log.close()])
      await expect(pending).resolves.toMatchObject([{ seq: 1 }])
      await expect(log.append([a('2')])).rejects.toMatchObject({ code: 'log_unusable' })
      await expect(log.check()).rejects.toBeInstanceOf(AppError)
    })

    test('passes a check', async () => {
      const log = await open()
      await expect(log.check()).resolves.toBeUndefined()
    })

    test('has an epoch that no other log has', async () => {
      const [one, other] = [await open(), await open()]
      expect(one.epoch).toMatch(/^[a-z0-9]{10}$/)
      expect(one.epoch).not.toBe(other.epoch)
    })

    test('begins a new epoch once for each new text of newEpoch, and keeps its entries', async ({ skip }) => {
      skip(!driver.survives, 'this log does not outlive its process')
      const home = place()
      const epochOf = async (newEpoch?: string) => {
        const log = await at(home, newEpoch === undefined ? {} : { newEpoch })
        await log.append([a('x')])
        await log.close()
        return log.epoch
      }
      const first = await epochOf('first text')
      expect([await epochOf('first text'), await epochOf()]).toEqual([first, first])
      const second = await epochOf('second text')
      expect(second).not.toBe(first)
      expect([await epochOf('second text'), await epochOf()]).toEqual([second, second])
      expect(await read(await at(home), 0, 'a')).toEqual(Array.from({ length: 6 }, (_, i) => `${i + 1}:x`))

      const old = place()
      const before = await at(old)
      await before.close()
      const after = await at(old, { newEpoch: 'first text' })
      expect(after.epoch).not.toBe(before.epoch)
    })

    test('keeps entries, keys, closed topics, gaps and its epoch over a restart', async ({ skip }) => {
      skip(!driver.survives, 'this log does not outlive its process')
      const home = place()
      const log = await at(home, { retention: { count: 3 } })
      for (let i = 1; i <= 4; i++) await log.append([a(`${i}`, { key: `${i}` })])
      await log.append([{ topic: 'c', close: true }])
      await log.close()
      const again = await at(home, { retention: { count: 3 } })
      expect(again.epoch).toBe(log.epoch)
      expect(await again.follow(() => {})).toBe(5)
      expect(await read(again, 0, 'a')).toEqual(['3:3', '4:4'])
      expect((await again.read(0, all, Filter.parse(['a']))).trimmed).toEqual({ to: 2, exact: true })
      expect(await again.append([a('1', { key: '1' })])).toMatchObject([{ seq: 1, duplicate: true }])
      expect(await closed(again, ['c'])).toEqual(new Map([['c', 5]]))
      expect(await again.append([b('6')])).toMatchObject([{ seq: 6 }])
      expect(await read(again, 0, '**')).toEqual(['4:4', '5:undefined', '6:6'])
    })
  })
}
