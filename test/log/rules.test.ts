import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openRedis } from '../../src/adapters/redis.ts'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { AppError } from '../../src/errors.ts'
import type { Log, LogOptions, Message, Retention } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import {
  closeAfterErasing,
  isKeyForgotten,
  lossAfter,
  placeBatch,
  surplusEntries,
  surplusKeys,
  surplusTopics,
} from '../../src/log/rules.ts'
import type { Claim } from '../../src/log/runs.ts'
import type { EntryRow, KeyRow } from '../../src/log/tables.ts'
import { Filter } from '../../src/topic.ts'
import { runs, seed } from '../seed.ts'
import { clock, withoutClock } from '../server/clock.ts'
import { redisServer, withoutRedis } from '../server/redis.ts'
import { cleanUp, folder } from '../server/server.ts'

describe('placeBatch', () => {
  const known = { hash: 'h1', seq: 3, time: 70 }
  const rows = {
    head: 9,
    time: 100,
    closedAt: (topic: string) => (topic === 'closed' ? 4 : 0),
    key: (topic: string, key: string) => (topic === 'a' && key === 'known' ? known : undefined),
    run: () => undefined,
    isRunOver: () => false,
  }
  const place = (...keyed: readonly (readonly [Message, string?])[]) =>
    placeBatch({ messages: keyed.map(([message]) => message), hashes: keyed.map(([, hash]) => hash) }, rows)
  const fresh = (seq: number) => ({ seq, time: 100, duplicate: false })

  test('gives messages seqs that rise by 1 from the head, and all the same time', () => {
    expect(place([{ topic: 'a', data: '1' }], [{ topic: 'b', data: '2' }])).toEqual([fresh(10), fresh(11)])
  })

  test('answers a known key with the first receipt, which takes no seq', () => {
    const again = { seq: 3, time: 70, duplicate: true }
    expect(place([{ topic: 'a', key: 'known' }, 'h1'], [{ topic: 'a' }])).toEqual([again, fresh(10)])
  })

  test('looks for a key only in the topic of its message', () => {
    expect(place([{ topic: 'b', key: 'known' }, 'h1'])).toEqual([fresh(10)])
  })

  test('knows the keys of earlier messages of the batch', () => {
    const twice = [{ topic: 'b', key: 'k' }, 'h'] as const
    expect(place(twice, twice)).toEqual([fresh(10), { ...fresh(10), duplicate: true }])
  })

  test('refuses a known key with another payload', () => {
    const other = [{ topic: 'a', key: 'known' }, 'h2'] as const
    expect(place([{ topic: 'b' }], other)).toEqual({ code: 'key_conflict', index: 1 })
    expect(place([{ topic: 'b', key: 'k' }, 'h'], [{ topic: 'b', key: 'k' }, 'i'])).toMatchObject({ index: 1 })
  })

  test('refuses a message that follows the close of its topic, in the log or in the batch', () => {
    expect(place([{ topic: 'closed' }])).toEqual({ code: 'topic_closed', index: 0 })
    expect(place([{ topic: 'b', close: true }], [{ topic: 'b' }])).toEqual({ code: 'topic_closed', index: 1 })
    expect(place([{ topic: 'b', close: true }], [{ topic: 'a' }])).toEqual([fresh(10), fresh(11)])
  })
})

describe('surplusEntries', () => {
  const row = (seq: number, topic = 'a'): EntryRow => ({ seq, topic, time: 10 * seq, bytes: 5 })
  const rows = [row(1), row(2), row(3), row(4)]
  const surplus = (totals: { count: number; bytes: number }, bounds: object, newest = () => 0, of = rows) => {
    const found = surplusEntries(of, totals, bounds, [], newest)
    return { ...found, surplus: found.surplus.map(({ seq }) => seq) }
  }

  test('takes the oldest entries until the count fits', () => {
    expect(surplus({ count: 4, bytes: 20 }, { count: 2 })).toEqual({ surplus: [1, 2], upTo: 2, isDone: true })
  })

  test('takes the oldest entries until the bytes fit', () => {
    expect(surplus({ count: 4, bytes: 20 }, { bytes: 14 })).toEqual({ surplus: [1, 2], upTo: 2, isDone: true })
  })

  test('takes entries that are older than the bound', () => {
    expect(surplus({ count: 4, bytes: 20 }, { before: 30 })).toEqual({ surplus: [1, 2], upTo: 2, isDone: true })
  })

  test('reports that the given page of entries did not suffice', () => {
    expect(surplus({ count: 9, bytes: 20 }, { count: 2 })).toEqual({ surplus: [1, 2, 3, 4], upTo: 4, isDone: false })
  })

  test('keeps the newest entry of a $ topic, whatever the bound', () => {
    const own = [row(1, '$s'), row(2, '$s'), row(3)]
    expect(surplus({ count: 3, bytes: 15 }, { count: 1 }, () => 2, own)).toMatchObject({ surplus: [1, 3], upTo: 3 })
  })

  test('compares the effective time of an entry that a wrong clock dated', () => {
    const found = surplusEntries(
      [{ ...row(1), time: 9000 }],
      { count: 1, bytes: 5 },
      { before: 30 },
      [{ seq: 2, time: 20 }],
      () => 0,
    )
    expect(found.surplus).toHaveLength(1)
  })
})

describe('rules about keys, closes, emptied topics and losses', () => {
  const key = (seq: number): KeyRow => ({ topic: 'a', key: `${seq}`, hash: 'h', seq, time: 10 * seq })

  test('a key is forgotten once its effective time is before the bound', () => {
    expect(isKeyForgotten(key(3), [], 30)).toBe(false)
    expect(isKeyForgotten(key(3), [], 31)).toBe(true)
    expect(isKeyForgotten({ seq: 3, time: 9000 }, [{ seq: 4, time: 20 }], 30)).toBe(true)
  })

  test('the oldest keys are forgotten while they are too old or too many', () => {
    const keys = [key(1), key(2), key(3)]
    expect(surplusKeys(keys, 3, 3, [], 0)).toBe(0)
    expect(surplusKeys(keys, 3, 3, [], 20)).toBe(1)
    expect(surplusKeys(keys, 3, 1, [], 0)).toBe(2)
    expect(surplusKeys(keys, 9, 1, [], 0)).toBe(3)
  })

  test('erasing the entries of a topic reopens it, unless its close is newer than these entries', () => {
    expect([closeAfterErasing(4, 4), closeAfterErasing(5, 4), closeAfterErasing(0, 4)]).toEqual([0, 5, 0])
  })

  test('emptied topics beyond the bound are forgotten', () => {
    expect([surplusTopics(3, 5), surplusTopics(5, 5), surplusTopics(8, 5)]).toEqual([0, 0, 3])
  })

  test('a loss is exact for a position at or above the floor; below the floor anything up to the head may be lost', () => {
    const log = { head: 20, floor: 10 }
    expect(lossAfter(10, 15, log)).toEqual({ to: 15, exact: true })
    expect(lossAfter(15, 15, log)).toBeUndefined()
    expect(lossAfter(9, 0, log)).toEqual({ to: 20, exact: false })
  })
})

const TOPICS = ['a', 'b', 'c/x', '$own']
const START_S = Date.UTC(2026, 0) / 1000
const without = withoutRedis || withoutClock

type Step =
  | { do: 'append'; batches: Message[][] }
  | { do: 'pass'; s: number }
  | { do: 'eraseOne'; back: number }
  | { do: 'erase'; topic: string }
  | { do: 'claim'; topic: string; claim: Claim }
  | { do: 'renew'; topic: string; token: string }
  | { do: 'stop'; topic: string; fence: number | undefined }

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const topic = fc.constantFrom(...TOPICS)
const message: fc.Arbitrary<Message> = fc
  .record({
    topic,
    data: maybe(fc.constantFrom('', 'one', 'two', 'a longer text')),
    event: maybe(fc.constantFrom('said')),
    retry: maybe(fc.constant(1000)),
    key: maybe(fc.constantFrom('k1', 'k2', 'k3')),
    close: fc.nat(12).map((n) => n === 0 || undefined),
  })
  .map(({ topic, ...fields }) => ({
    topic,
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  }))
const appending = (message: fc.Arbitrary<Message>) =>
  fc.record({
    do: fc.constant('append' as const),
    batches: fc.array(fc.array(message, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
  })
const erasing = [
  { weight: 2, arbitrary: fc.record({ do: fc.constant('eraseOne' as const), back: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('erase' as const), topic }) },
]
const passing = (s: fc.Arbitrary<number>) => fc.record({ do: fc.constant('pass' as const), s })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: appending(message) },
  { weight: 3, arbitrary: passing(fc.oneof(fc.integer({ min: -30, max: 30 }), fc.constantFrom(5, 20, 60))) },
  ...erasing,
)

const token = fc.constantFrom('t1', 't1', 't1', 't1', 't2')
const ending = fc.constantFrom<Partial<Message>>(
  ...([{}, { outcome: 'failed', detail: 'died\nof this' }, { outcome: 'failed' }, { outcome: 'stopped' }] as const),
  { outcome: 'abandoned' },
)
const messageOfRun = fc
  .tuple(message, fc.option(token, { nil: undefined, freq: 5 }), ending, fc.nat(5))
  .map(([{ close: _, ...message }, run, ending, isClose]): Message => {
    const close = isClose === 0 && ({ close: true, ...(run && ending) } as const)
    return { ...message, ...(run && { run }), ...close }
  })
/** No two leases end at the same time, because logs end such runs in any order. */
const claim = fc
  .record({
    topic,
    token,
    lease: fc.integer({ min: 1, max: 6 }),
    grace: fc.nat(6),
    key: maybe(fc.constantFrom('k1', 'k2')),
  })
  .map(({ topic, token, lease, grace, key }): Step => {
    const leaseMs = 1000 * lease + TOPICS.indexOf(topic)
    return { do: 'claim', topic, claim: { token, leaseMs, graceMs: 1000 * grace, ...(key && { key }) } }
  })
const stepOfRuns: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: appending(messageOfRun) },
  { weight: 6, arbitrary: claim },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('renew' as const), topic, token }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('stop' as const), topic, fence: maybe(fc.integer({ min: 1, max: 2 })) }),
  },
  { weight: 4, arbitrary: passing(fc.integer({ min: 1, max: 8 })) },
  ...erasing,
)
const bound = maybe(fc.integer({ min: 1, max: 12 }))
const options = fc.record({
  retention: fc
    .record({
      count: bound,
      bytes: maybe(fc.integer({ min: 1, max: 80 })),
      ageMs: maybe(fc.constant(60_000)),
      topicCount: bound,
      topicBytes: bound,
    })
    .map((bounds) => JSON.parse(JSON.stringify(bounds)) as Retention), // without the bounds that are missing
  keyAgeMs: fc.constantFrom(5000, 20_000, 3_600_000),
  keyCount: fc.integer({ min: 1, max: 4 }),
  trimmedCount: fc.integer({ min: 1, max: 4 }),
  closedAgeMs: fc.constantFrom(20_000, 60_000, 1e9),
  closedCount: fc.integer({ min: 1, max: 4 }),
  stopAgeMs: fc.constantFrom(2000, 20_000),
  stopCount: fc.integer({ min: 1, max: 4 }),
}) satisfies fc.Arbitrary<Partial<LogOptions>>

/** Compares a log with the memory log, which applies these rules to plain maps, in everything that a log answers. */
async function compare(
  open: (options: Partial<LogOptions>) => Log | Promise<Log>,
  setClock: (s: number) => void,
  numRuns: number,
  of = step,
) {
  await fc.assert(
    fc.asyncProperty(options, fc.array(of, { minLength: 1, maxLength: 25, size: 'max' }), async (options, steps) => {
      let now = START_S
      setClock(now)
      const byRules = memoryLog(options)
      const other = await open(options)
      /** Lets a second pass, after which both logs look at once for runs that are over. */
      async function passSecond() {
        await other.sweep!() // so that no look is under way
        setClock(++now)
        await Promise.all([byRules.sweep!(), other.sweep!()])
      }
      try {
        for (const step of steps) {
          if (step.do === 'pass' && of !== stepOfRuns) {
            now += step.s
            setClock(now)
          }
          if (step.do === 'pass' && of === stepOfRuns) for (let s = 0; s < step.s; s++) await passSecond()
          if (step.do === 'stop') await passSecond() // stops of the same time are forgotten in any order
          const [expected, actual] = [await answers(byRules, step), await answers(other, step)]
          expect([step, actual]).toEqual([step, expected])
        }
      } finally {
        await byRules.close()
        await other.close()
      }
    }),
    { seed, numRuns },
  )
}

describe('over random histories', () => {
  let hubs = 0
  /** Sets the clock of this process. `performance.now()` goes on with it, but never back. */
  const setClock = (s: number) => {
    const ms = 1000 * s - Date.now()
    if (ms > 0) vi.advanceTimersByTime(ms)
    else vi.setSystemTime(1000 * s)
  }
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })
  afterAll(cleanUp)

  test('a log in SQLite answers the same as the memory log', async () => {
    const open = (options: Partial<LogOptions>) => openSqlite(join(folder(), 'log.db'), options)
    await compare(open, setClock, runs(40, 1000))
    await compare(open, setClock, runs(20, 1000), stepOfRuns)
  }, 600_000)

  test.skipIf(without)(
    `a log in Redis answers the same as the memory log${without && ` (skipped: ${without})`}`,
    async () => {
      const time = clock()
      const server = await redisServer({ appendonly: 'no' }, time.env)
      const setClocks = (s: number) => {
        time.stop(s)
        setClock(s)
      }
      const open = (options: Partial<LogOptions>) => openRedis(server.url(`hub-${++hubs}`), options)
      try {
        await compare(open, setClocks, runs(15, 1000))
        await compare(open, setClocks, runs(15, 1000), stepOfRuns)
      } finally {
        await server.kill()
      }
    },
    600_000,
  )
})

/** What a log answers to a step, and to questions about everything after it. */
async function answers(log: Log, step: Step) {
  const said = await act(log, step)
  const head = await headOf(log)
  const reads = []
  for (const names of [['a'], ['b', 'c/x'], ['**'], ['c/*', '$own']])
    for (const after of [0, Math.floor(head / 2), head])
      for (const latest of [false, true])
        reads.push(await log.read(after, { count: 100, bytes: 1e6, latest }, Filter.parse(names)))
  const ends = [
    await log.seek({ last: 2 }, Filter.parse(['**'])),
    await log.seek({ last: 1 }, Filter.parse(['a', 'b'])),
  ]
  const since = await log.seek({ since: Date.now() - 10_000 }, Filter.parse(['**']))
  const listed = await log.topics({ prefix: '', after: '', limit: 100 })
  const named = await log.topics({ names: TOPICS })
  const runs = [await log.runs.get(TOPICS), await log.runs.list({ prefix: '', after: 'a', limit: 2 })]
  return { said, head, reads, ends, since, named, listed, runs }
}

async function headOf(log: Log): Promise<number> {
  return (await log.read(0, { count: 1000, bytes: 1e6 }, Filter.parse(['**', '$own']))).scannedTo
}

async function act(log: Log, step: Step): Promise<unknown> {
  if (step.do === 'pass') return
  if (step.do === 'erase') return log.erase(step.topic)
  if (step.do === 'eraseOne') {
    const head = await headOf(log)
    const { entries } = await log.read(
      Math.max(0, head - step.back - 1),
      { count: 1, bytes: 1e6 },
      Filter.parse(['**']),
    )
    const [entry] = entries
    return entry && log.erase(entry.topic, entry.seq)
  }
  if (step.do === 'claim') return answerOf(log.runs.claim(step.topic, step.claim))
  if (step.do === 'renew') return answerOf(log.runs.renew(step.topic, step.token))
  if (step.do === 'stop') return answerOf(log.runs.stop(step.topic, step.fence))
  return Promise.all(step.batches.map((batch) => answerOf(log.append(batch))))
}

/** What a promise resolves with, or its error. */
async function answerOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof AppError) return [error.code, error.message, error.more]
    throw error
  }
}
