import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { HubOptions, SubscribeOptions } from '../../src/hub/options.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'

let log: Log
let hub: Hub

async function start(options: Partial<HubOptions> = {}, logOptions: Partial<LogOptions> = {}): Promise<void> {
  log = memoryLog(logOptions)
  hub = new Hub(() => log, options)
  await hub.check()
}

const id = (seq: number) => `${log.epoch}-${seq}`
const say = (topic: string, ...data: string[]) => hub.publish(data.map((d) => ({ topic, data: d })))
const close = (topic: string) => hub.publish([{ topic, close: true }])
const subscribe = async (names: string[], options: SubscribeOptions = {}) =>
  (await hub.subscribe(Filter.parse(names), options))!

/** Reads everything that is due, and waits for reads of the log. */
async function take(subscription: Subscription, reader = new Reader()): Promise<Reader> {
  while (!subscription.idle && !subscription.ended) {
    const bytes = subscription.read()
    if (bytes) reader.feed(bytes)
    else await nextTurn()
  }
  return reader
}
const read = async (names: string[], options: SubscribeOptions) => take(await subscribe(names, options))

const seqOf = (position: string) => Number(position.split('-')[1])

/** Checks that a gap has reported all that was skipped before each id that is sent, and that each gap ends at a skipped event after the last gap. */
function expectEachSkippedReported({ events }: Reader, matching: readonly number[]): void {
  const isControl = (event: string | undefined) => event?.startsWith('hub.') === true
  const delivered = new Set(events.filter(({ event }) => !isControl(event)).map(({ id }) => seqOf(id!)))
  const skipped = matching.filter((seq) => !delivered.has(seq))
  const gaps: { from: number; to: number }[] = []
  for (const { event, data, id } of events) {
    if (event === 'hub.gap') {
      const { from, to } = JSON.parse(data)
      expect([id, skipped]).toEqual([from, expect.arrayContaining([seqOf(to)])])
      expect(seqOf(to)).toBeGreaterThan(gaps.at(-1)?.to ?? 0)
      gaps.push({ from: seqOf(from), to: seqOf(to) })
    }
    if (id === undefined) continue
    const before = skipped.filter((seq) => seq <= seqOf(id))
    expect(before.filter((seq) => !gaps.some(({ from, to }) => from < seq && seq <= to))).toEqual([])
  }
}
const states = (reader: Reader) => reader.control('open').map(({ state }) => state)

beforeEach(() => start())
afterEach(async () => {
  vi.useRealTimers()
  await hub.close()
})

describe.each([
  ['the window', {}],
  ['the log', { windowCount: 1 }],
])('history read from %s', (_, options) => {
  beforeEach(async () => {
    await hub.close()
    await start(options)
    await say('a', '1', '2')
    await say('b', '3')
    await say('a', '4')
    await say('b', '5', '6')
  })

  test('from=earliest begins live at the position before the first event, without a gap', async () => {
    const reader = await read(['a'], { from: 'earliest' })
    expect([reader.data, states(reader), reader.control('gap')]).toEqual([['1', '2', '4'], ['live'], []])
    expect(reader.events[0]!.id).toBe(id(0))
  })

  test('last=N delivers the newest N matching events, or all if there are fewer', async () => {
    expect((await read(['a'], { from: { last: 1 } })).lines.slice(1)).toEqual([`4 ${id(4)}`])
    expect((await read(['a', 'b'], { from: { last: 4 } })).data).toEqual(['3', '4', '5', '6'])
    expect((await read(['*'], { from: { last: 2 } })).data).toEqual(['5', '6'])
    expect((await read(['a'], { from: { last: 99 } })).data).toEqual(['1', '2', '4'])
    expect((await read(['new'], { from: { last: 1 } })).data).toEqual([])
  })

  test('since delivers the events from a time on', async () => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    const since = Date.now()
    await say('a', '7')
    await say('b', '8')
    expect((await read(['a'], { from: { since } })).data).toEqual(['7'])
    expect((await read(['*'], { from: { since } })).data).toEqual(['7', '8'])
    expect((await read(['a'], { from: { since: 0 } })).data).toEqual(['1', '2', '4', '7'])
    expect((await read(['a'], { from: { since: Date.now() + 1000 } })).data).toEqual([])
  })

  test('a Last-Event-ID wins over from=earliest, last and since', async () => {
    for (const from of ['earliest', { last: 10 }, { since: 0 }] as const) {
      const reader = await read(['a'], { from, lastEventId: id(2) })
      expect([reader.data, states(reader)]).toEqual([['4'], ['resumed']])
    }
  })

  test('continues live, each event once', async () => {
    const subscription = await subscribe(['a'], { from: { last: 2 } })
    await say('a', '7')
    const reader = await take(subscription)
    await say('a', '8')
    await take(subscription, reader)
    expect(reader.data).toEqual(['2', '4', '7', '8'])
  })

  test('of a closed topic ends with hub.closed; a reader that resumes at the close gets no stream', async () => {
    await close('a')
    const reader = await read(['a'], { from: { last: 1 } })
    expect(reader.lines.slice(1)).toEqual([
      `4 ${id(4)}`,
      `hub.closed {"topic":"a","outcome":"done"} ${id(7)}`,
      'hub.ending {}',
    ])
    expect(await hub.subscribe(Filter.parse(['a']), { from: { last: 1 }, lastEventId: id(7) })).toBeUndefined()
  })
})

describe('trimmed history', () => {
  beforeEach(async () => {
    await hub.close()
    await start({ windowCount: 1 }, { retention: { topicCount: 2 } })
    await say('b', 'quiet')
    await say('a', '2', '3', '4', '5', '6')
  })

  test('is no gap for from=earliest and last=N', async () => {
    for (const from of ['earliest', { last: 5 }] as const) {
      const reader = await read(['a', 'b'], { from })
      expect([reader.data, states(reader), reader.control('gap')]).toEqual([['quiet', '5', '6'], ['live'], []])
    }
  })

  test('is an inexact gap for since with an earlier time, unless the topic lost nothing', async () => {
    const reader = await read(['a'], { from: { since: 0 } })
    expect([reader.data, states(reader)]).toEqual([['5', '6'], ['gap']])
    expect(reader.control('gap')).toEqual([{ reason: 'trimmed', from: id(0), to: id(4), exact: false }])
    expect(states(await read(['b'], { from: { since: 0 } }))).toEqual(['live'])
  })
})

describe.each([
  ['the window', {}],
  ['the log', { windowCount: 1 }],
])('latest=true, read from %s,', (_, options) => {
  beforeEach(async () => {
    await hub.close()
    await start(options)
  })

  test('delivers only the newest missed event of each topic, in order', async () => {
    await say('a', '1', '2')
    await say('b/x', '3', '4')
    await say('a', '5')
    await say('c', '6')
    for (const names of [
      ['a', 'b/x'],
      ['a', 'b/*'],
    ]) {
      const subscription = await subscribe(names, { latest: true, lastEventId: id(0) })
      const reader = await take(subscription)
      expect(reader.lines.slice(1)).toEqual([`4 ${id(4)}`, `5 ${id(5)}`])
      await say('a', '7', '8')
      await say('b/x', '9')
      await take(subscription, reader)
      expect(reader.data).toEqual(['4', '5', '8', '9'])
      subscription.close()
      await hub.close()
      await start(options)
      await say('a', '1', '2')
      await say('b/x', '3', '4')
      await say('a', '5')
      await say('c', '6')
    }
  })

  test('begins with the newest event of each topic under from=earliest', async () => {
    await say('a', '1', '2')
    await say('b', '3')
    await say('a', '4')
    expect((await read(['*'], { latest: true, from: 'earliest' })).data).toEqual(['3', '4'])
    expect((await read(['a', 'b'], { latest: true, from: 'earliest' })).data).toEqual(['3', '4'])
  })

  test('reports skipped events in a conflated gap only under gaps=true', async () => {
    await say('a', '1', '2', '3')
    await say('b', '4')
    for (const names of [['a', 'b'], ['*']]) {
      expect((await read(names, { latest: true, lastEventId: id(0) })).control('gap')).toEqual([])
      const reader = await read(names, { latest: true, gaps: true, lastEventId: id(0) })
      expect(reader.lines.slice(1)).toEqual([
        `hub.gap {"reason":"conflated","from":"${id(0)}","to":"${id(2)}","exact":true} ${id(0)}`,
        `3 ${id(3)}`,
        `4 ${id(4)}`,
      ])
      expect((await read(names, { latest: true, gaps: true, lastEventId: id(2) })).control('gap')).toEqual([])
    }
  })

  test('reports no conflated gap for events that an epoch gap has reported', async () => {
    await say('a', '1', '2')
    const reader = await read(['a'], { latest: true, gaps: true, lastEventId: 'elsewhere-7' })
    expect(reader.control('gap')).toEqual([{ reason: 'epoch', from: 'elsewhere-7', to: id(1), exact: false }])
  })

  test('reports every skipped event before a later event, whatever maxChunkBytes is, and reports no other', async () => {
    const topics = ['a', 'b', 'c/x']
    const phase = fc.record({ said: fc.array(fc.constantFrom(...topics), { maxLength: 6 }), reads: fc.nat(3) })
    await fc.assert(
      fc.asyncProperty(
        fc.array(phase, { minLength: 1, maxLength: 4 }),
        fc.constantFrom<string[]>(['a', 'b', 'c/x'], ['**'], ['b', 'c/*']),
        fc.integer({ min: 1, max: 150 }),
        async (phases, names, maxChunkBytes) => {
          await hub.close()
          await start({ ...options, maxChunkBytes })
          const subscription = await subscribe(names, { latest: true, gaps: true, from: 'earliest' })
          const reader = new Reader()
          for (const { said, reads } of phases) {
            await hub.publish(said.map((topic) => ({ topic, data: topic })))
            for (let i = 0; i < reads; i++) {
              const bytes = subscription.read()
              if (bytes) reader.feed(bytes)
              else await nextTurn()
            }
          }
          await take(subscription, reader)
          const filter = Filter.parse(names)
          const matching = phases
            .flatMap(({ said }) => said)
            .flatMap((topic, i) => (filter.matches(topic) ? [i + 1] : []))
          expectEachSkippedReported(reader, matching)
          subscription.close()
        },
      ),
      {
        seed,
        numRuns: runs(150, 5000),
        examples: [[[{ said: ['a', 'a', 'b', 'b'], reads: 0 }], topics, 30]],
      },
    )
  })

  test('reports the events that a search has skipped before any other control event', async () => {
    await say('c/x', ...Array.from({ length: 600 }, (_, i) => `${i}`))
    const expiresAt = Date.now() + 20_000
    const subscription = await subscribe(['c/*'], { latest: true, gaps: true, from: 'earliest', expiresAt })
    const reader = new Reader()
    while (subscription.position === 0) {
      const bytes = subscription.read()
      if (bytes) reader.feed(bytes)
      else await nextTurn()
    }
    subscription.tick(performance.now())
    await take(subscription, reader)
    expect(reader.control('expiring')).toHaveLength(1)
    expectEachSkippedReported(
      reader,
      Array.from({ length: 600 }, (_, i) => i + 1),
    )
  })

  test('delivers the newest event of a closed topic, then hub.closed', async () => {
    await say('a', '1', '2')
    await close('a')
    for (const names of [['a'], ['*']]) {
      const reader = await read(names, { latest: true, lastEventId: id(0) })
      const ending = names[0] === 'a' ? ['hub.ending {}'] : []
      expect(reader.lines.slice(1)).toEqual([
        `2 ${id(2)}`,
        `hub.closed {"topic":"a","outcome":"done"} ${id(3)}`,
        ...ending,
      ])
    }
  })

  test('loses no topic when chunks are smaller than what is due', async () => {
    await hub.close()
    await start({ ...options, maxChunkBytes: 60 })
    const topics = Array.from({ length: 20 }, (_, i) => `t/${i}`)
    for (let round = 0; round < 5; round++) for (const topic of topics) await say(topic, `${topic} ${round}`)
    const subscription = await subscribe(['t/*'], { latest: true, lastEventId: id(0) })
    const reader = new Reader()
    for (let i = 0; i < 8; ) {
      const bytes = subscription.read()
      if (bytes) reader.feed(bytes)
      if (bytes) i++
      else await nextTurn()
    }
    for (const topic of topics.slice(3)) await say(topic, `${topic} 5`)
    await take(subscription, reader)
    const newest = new Map(reader.data.map((data) => data.split(' ') as [string, string]))
    expect(newest).toEqual(new Map(topics.map((topic, i) => [topic, i < 3 ? '4' : '5'])))
    expect(reader.data.length).toBeLessThan(2 * topics.length)
  })
})

describe('deleting:', () => {
  test.each([
    ['from the window', {}],
    ['from the log', { windowCount: 1 }],
  ])('a deleted event reaches no reader that has not received it yet, read %s', async (_, options) => {
    await hub.close()
    await start(options)
    const [slow, latest] = [await subscribe(['*']), await subscribe(['*'], { latest: true })]
    const repeating = await subscribe(['a'], { repeatMs: 1000 })
    await say('a', 'keep', 'secret', 'end')
    expect(await hub.directory.erase('a', id(2))).toBe(1)
    await say('b', 'more')
    expect((await take(slow)).data).toEqual(['keep', 'end', 'more'])
    expect((await take(latest)).data).toEqual(['end', 'more'])
    expect((await take(repeating)).data).toEqual(['keep', 'end'])
    expect((await read(['a'], { lastEventId: id(0) })).lines.slice(1)).toEqual([`keep ${id(1)}`, `end ${id(3)}`])
  })

  test('a deleted event does not reach a reader even if the log was already being read for that reader', async () => {
    await hub.close()
    await start({ windowCount: 1 })
    await say('a', 'keep', 'secret', 'end')
    await say('b', '4', '5')
    const subscription = await subscribe(['a'], { lastEventId: id(0) })
    subscription.read() // begins to read from the log
    await nextTurn()
    await nextTurn()
    await hub.directory.erase('a', id(2))
    expect((await take(subscription)).data).toEqual(['keep', 'end'])
  })

  test('repeat sends the newest event that was not deleted, or nothing', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    await say('a', 'old', 'secret')
    const subscription = await subscribe(['a'], { repeatMs: 1000 })
    await take(subscription)
    await hub.directory.erase('a', id(2))
    await nextTurn()
    await nextTurn()
    await vi.advanceTimersByTimeAsync(1200)
    const reader = await take(subscription)
    expect(reader.text).toBe('data: old\n\n')
    await hub.directory.erase('a')
    await nextTurn()
    await nextTurn()
    await vi.advanceTimersByTimeAsync(1200)
    expect((await take(subscription)).text).not.toContain('data')
  })

  test('a closed topic that is deleted is open again; readers that saw its close get its next event and its next close', async () => {
    const both = await subscribe(['a', 'b'])
    await say('a', '1')
    await close('a')
    const reader = await take(both)
    expect(await hub.directory.erase('a')).toBe(2)
    expect(await hub.directory.get('a')).toMatchObject({ kept: 0, closed: false, lastId: id(2) })
    await say('a', '2')
    await take(both, reader)
    await close('a')
    await close('b')
    await take(both, reader)
    expect(reader.lines.slice(1).map((line) => line.split(' ').slice(0, -1).join(' '))).toEqual([
      '1',
      'hub.closed {"topic":"a","outcome":"done"}',
      '2',
      'hub.closed {"topic":"a","outcome":"done"}',
      'hub.closed {"topic":"b","outcome":"done"}',
      'hub.ending',
    ])
    expect(both.ended).toBe(true)
  })

  test("what does not exist and the hub's own topics cannot be deleted", async () => {
    await say('a', '1')
    await hub.set('x')
    for (const [topic, given] of [['b'], ['b', id(1)], ['a', id(2)], ['a', id(9)]] as [string, string?][])
      await expect(hub.directory.erase(topic, given)).rejects.toMatchObject({ code: 'nothing_to_delete' })
    await expect(hub.directory.erase('$store')).rejects.toMatchObject({ code: 'forbidden' })
    await expect(hub.directory.erase('$store', id(2))).rejects.toMatchObject({ code: 'forbidden' })
  })
})

describe('topics', () => {
  const asked = (names: string[]) => {
    const filter = Filter.parse(names)
    return { prefixes: [filter.prefix], isShown: (topic: string) => filter.matches(topic) }
  }

  test('are listed with their newest id, kept events, readers and whether they are closed, a page at a time', async () => {
    await say('chat/a', '1', '2')
    await say('chat/b', '3')
    await say('news', '4')
    await close('news')
    await hub.set('x')
    await subscribe(['chat/a'])
    await subscribe(['chat/*'])
    await subscribe(['chat/*', 'news'])
    const list = (names: string[], after = '', limit = 10) => hub.directory.list({ ...asked(names), after, limit })
    expect(await list(['**'])).toEqual([
      { topic: 'chat/a', lastId: id(2), kept: 2, readers: 3, closed: false },
      { topic: 'chat/b', lastId: id(3), kept: 1, readers: 2, closed: false },
      { topic: 'news', lastId: id(5), kept: 2, readers: 1, closed: true },
    ])
    expect((await list(['chat/*'], '', 1)).map(({ topic }) => topic)).toEqual(['chat/a'])
    expect((await list(['chat/*'], 'chat/a')).map(({ topic }) => topic)).toEqual(['chat/b'])
    expect((await list(['$store'])).map(({ topic }) => topic)).toEqual(['$store'])
    expect(await hub.directory.get('unheard')).toEqual({
      topic: 'unheard',
      lastId: null,
      kept: 0,
      readers: 0,
      closed: false,
    })
  })

  test('that match a pattern are all found among many others, a page at a time', async () => {
    for (let i = 0; i < 30; i++)
      await hub.publish(
        Array.from({ length: 100 }, (_, k) => ({ topic: `t/${i * 100 + k}/${k === 50 ? 'x' : 'y'}`, data: '' })),
      )
    const found: string[] = []
    for (let after = ''; ; ) {
      const page = await hub.directory.list({ ...asked(['t/*/x']), after, limit: 7 })
      found.push(...page.map(({ topic }) => topic))
      if (page.length < 7) break
      after = page.at(-1)!.topic
    }
    expect(found).toEqual(Array.from({ length: 30 }, (_, i) => `t/${i * 100 + 50}/x`).sort())
  })
})

describe('limits', () => {
  test('maxReaders: one stream more is refused until another ends', async () => {
    await hub.close()
    await start({ maxReaders: 2 })
    const first = await subscribe(['a'])
    await hub.watch()
    const refused = expect.objectContaining({ code: 'too_many_readers', retryAfterS: expect.any(Number) })
    await expect(subscribe(['a'])).rejects.toEqual(refused)
    await expect(hub.watch()).rejects.toEqual(refused)
    first.close()
    await Promise.all([subscribe(['a']), expect(subscribe(['b'])).rejects.toEqual(refused)])
  })

  test('maxReplays: a search gives its slot back as soon as its client has gone', async () => {
    await hub.close()
    await start({ maxReplays: 1, windowCount: 1 })
    for (let i = 0; i < 20; i++) await say('a', ...Array.from({ length: 1000 }, (_, n) => `${n}`))
    const client = new AbortController()
    const search = hub.subscribe(Filter.parse(['none/*']), { from: { last: 10 }, signal: client.signal })
    for (let i = 0; i < 3; i++) await nextTurn()
    const refused = expect.objectContaining({ code: 'too_many_replays' })
    await expect(subscribe(['none/*'], { from: { last: 10 } })).rejects.toEqual(refused)
    client.abort()
    for (let i = 0; i < 5; i++) await nextTurn()
    const other = subscribe(['a'], { from: { last: 10 } })
    expect(await search).toBeUndefined()
    expect((await take(await other)).data).toHaveLength(10)
    expect(hub.readers).toBe(1)
  })

  test('maxReplays: further replays are refused; live streams open, and a live reader that falls behind continues', async () => {
    await hub.close()
    await start({ maxReplays: 2, windowCount: 2 })
    await say('a', '1', '2', '3', '4')
    const [one, other] = [await subscribe(['a'], { lastEventId: id(1) }), await subscribe(['a'], { from: 'earliest' })]
    const refused = expect.objectContaining({ code: 'too_many_replays', retryAfterS: expect.any(Number) })
    for (const options of [
      { lastEventId: id(1) },
      { lastEventId: 'elsewhere-9' },
      { from: { last: 4 } },
      { from: { since: 0 } },
    ])
      await expect(subscribe(['a'], options)).rejects.toEqual(refused)
    const live = await subscribe(['a'])
    await subscribe(['a'], { lastEventId: id(2) })
    await say('a', '5', '6', '7')
    expect((await take(live)).data).toEqual(['5', '6', '7'])
    expect((await take(one)).data).toEqual(['2', '3', '4', '5', '6', '7'])
    other.close()
    expect((await read(['a'], { lastEventId: id(1) })).data).toHaveLength(6)
    expect((await read(['a'], { lastEventId: id(1) })).data).toHaveLength(6)
  })

  test('replayRate: after a first burst one reader gets replayed events at this rate', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    await hub.close()
    await start({ replayRate: 1000, windowCount: 1 })
    for (let i = 0; i < 20; i++) await hub.publish(Array.from({ length: 100 }, () => ({ topic: 'a', data: 'x' })))
    const subscription = await subscribe(['a'], { from: 'earliest' })
    const reader = new Reader()
    const due = async () => {
      for (let i = 0; i < 200; i++) {
        const bytes = subscription.read()
        if (bytes) reader.feed(bytes)
        else await nextTurn()
      }
      return reader.data.length
    }
    const got: number[] = [await due()]
    for (let tenth = 0; tenth < 10; tenth++) {
      await vi.advanceTimersByTimeAsync(100)
      got.push(await due())
    }
    const steps = got.slice(1).map((count, i) => count - got[i]!)
    expect(got[0]).toBeGreaterThan(100)
    expect(got[0]).toBeLessThan(100 + 256)
    expect(got[10]! - got[0]!).toBeGreaterThan(1000 - 256)
    expect(got[10]! - got[0]!).toBeLessThanOrEqual(1000 + 256)
    expect(Math.max(...steps)).toBeLessThanOrEqual(256)
  })
})
