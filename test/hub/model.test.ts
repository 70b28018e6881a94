import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openRedis } from '../../src/adapters/redis.ts'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { AppError } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import { parsePosition } from '../../src/hub/position.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import type { Log } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { sqlLog } from '../../src/log/sql.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'
import { type RedisServer, redisServer, withoutRedis } from '../server/redis.ts'
import { cleanUp, folder } from '../server/server.ts'
import { FailingSql, type Fault, faults } from '../server/sql.ts'

const RETENTION = { count: 12, topicCount: 5 }
const TOPICS = ['a', 'b', 'c/x', 'c/y']

type Step =
  | { do: 'publish'; topics: number[] }
  | { do: 'fail'; topics: number[]; fault: Fault; at: number }
  | { do: 'close'; topic: number }
  | { do: 'open'; names: string[]; latest: boolean }
  | { do: 'erase'; entry: number; fault?: Fault; at?: number }
  | { do: 'forget'; topic: number; fault?: Fault; at?: number }
  | { do: 'read'; reader: number; chunks: number }
  | { do: 'reconnect'; reader: number }
  | { do: 'restart' }

const fault = { fault: fc.constantFrom(...faults), at: fc.nat(40) }
const failing: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('fail' as const),
      topics: fc.array(fc.nat(3), { minLength: 1, maxLength: 5 }),
      ...fault,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('erase' as const), entry: fc.nat(8), ...fault }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), topic: fc.nat(3), ...fault }) },
)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      topics: fc.array(fc.nat(3), { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      names: fc.subarray(['a', 'b', 'c/*', 'c/x', '**'], { minLength: 1, maxLength: 3 }),
      latest: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      reader: fc.nat(9),
      chunks: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('reconnect' as const), reader: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), topic: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('erase' as const), entry: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), topic: fc.nat(3) }) },
)

interface Said {
  readonly id: string
  readonly seq: number
  readonly topic: string
}

/** The tiny model: every acknowledged entry, those that retention keeps, and those that were erased. */
class Model {
  readonly said: Said[] = []
  readonly kept = new Map<number, Said>()
  readonly erased = new Set<number>()
  readonly closed = new Map<string, number>()

  publish(batch: readonly Said[]): void {
    this.said.push(...batch)
    for (const one of batch) this.kept.set(one.seq, one)
    for (const topic of TOPICS)
      this.#trim(
        [...this.kept.values()].filter((e) => e.topic === topic),
        RETENTION.topicCount,
      )
    this.#trim([...this.kept.values()], RETENTION.count)
  }

  /** Erases an entry. A close outlives its data: the entry stays, without data. */
  erase(seq: number): void {
    this.erased.add(seq)
    if (![...this.closed.values()].includes(seq)) this.kept.delete(seq)
  }

  /** Deletes a topic. Its entries are missing from then on, as if trimmed. */
  forget(topic: string): void {
    this.closed.delete(topic)
    for (const { seq } of [...this.kept.values()].filter((e) => e.topic === topic)) this.kept.delete(seq)
  }

  #trim(entries: readonly Said[], count: number): void {
    for (const { seq } of entries.slice(0, Math.max(0, entries.length - count))) this.kept.delete(seq)
  }
}

/** One reader over all its connections: the entries and the gaps that it received. */
class Follower {
  readonly filter: Filter
  readonly latest: boolean
  subscription: Subscription | undefined
  stream = new Reader()
  start: number | undefined
  readonly got: number[] = []
  readonly gaps: { from: number; to: number }[] = []
  /** The entries and the closes of topics, in the order received. */
  heard: { topic: string; closed: boolean }[] = []
  /** Whether the hub gave no stream, because nothing can come any more. */
  isDone = false
  lastEventId: string | undefined

  /** Waits a little for more to read. */
  readonly #pause: () => Promise<unknown>

  constructor(names: string[], latest: boolean, pause: () => Promise<unknown>) {
    this.filter = Filter.parse(names)
    this.latest = latest
    this.#pause = pause
  }

  async connect(hub: Hub): Promise<void> {
    this.subscription?.close()
    this.stream = new Reader()
    this.subscription = await hub.subscribe(this.filter, {
      latest: this.latest,
      ...(this.lastEventId !== undefined && { lastEventId: this.lastEventId }),
    })
    this.isDone = this.subscription === undefined
    await this.read(1) // the retry and, unless the log has to be read first, the opening
    if (this.lastEventId === undefined) await this.read(1)
  }

  /** Reads up to this many chunks; fewer when nothing more is due. */
  async read(chunks: number, model?: Model): Promise<void> {
    for (let taken = 0, idle = 0; taken < chunks && idle < 8; ) {
      const bytes = this.subscription?.read()
      if (bytes) {
        this.take(bytes, model)
        taken++
        idle = 0
      } else idle++
      if (!bytes) await this.#pause()
    }
  }

  /** Reads everything up to a position, and waits until it has arrived. */
  async readTo(head: number, model: Model): Promise<void> {
    for (let tries = 0; tries < 2000; tries++) {
      await this.read(1000, model)
      const { subscription } = this
      if (!subscription || subscription.ended || (subscription.idle && subscription.position >= head)) return
    }
  }

  take(bytes: Uint8Array, model?: Model): void {
    const known = this.stream.events.length
    this.stream.feed(bytes)
    for (const { event, data, id } of this.stream.events.slice(known)) {
      if (event === 'hub.ending') continue
      const { seq } = parsePosition(id!)!
      this.lastEventId = id
      if (event === 'hub.open') this.start ??= seq
      else if (event === 'hub.gap') {
        const gap = JSON.parse(data)
        expect(gap).toMatchObject({ reason: 'trimmed', exact: true })
        const bounds = { from: parsePosition(gap.from)!.seq, to: parsePosition(gap.to)!.seq }
        this.gaps.push(bounds)
        if (model) this.checkGap(bounds, model)
      } else if (event === 'hub.closed') this.heard.push({ topic: JSON.parse(data).topic, closed: true })
      else {
        if (model) expect([seq, model.erased.has(seq)]).toEqual([seq, false])
        this.got.push(seq)
        this.heard.push({ topic: data, closed: false })
      }
    }
  }

  /** Expects a gap to end at a matching entry that is really gone: no false alarm, and no wider than it must be. */
  checkGap({ from, to }: { from: number; to: number }, model: Model): void {
    const last = model.said.find(({ seq }) => seq === to)
    expect(from).toBeLessThan(to)
    expect(last && this.filter.matches(last.topic)).toBe(true)
    expect(model.kept.has(to)).toBe(false)
  }

  check(model: Model): void {
    expect(this.got).toEqual([...new Set(this.got)].sort((x, y) => x - y))
    const all = model.said.filter(({ seq, topic }) => seq > this.start! && this.filter.matches(topic))
    const isNewest = (one: Said) => all.findLast(({ topic }) => topic === one.topic) === one
    const owed = all.filter((one) => !model.erased.has(one.seq) && (!this.latest || isNewest(one)))
    const told = (seq: number) => this.gaps.some(({ from, to }) => from < seq && seq <= to)
    expect(owed.filter(({ seq }) => !this.got.includes(seq) && !told(seq))).toEqual([])
    expect(this.got.filter((seq) => !all.some((one) => one.seq === seq))).toEqual([])
    this.checkClosed(model)
  }

  /** Expects a reader that has everything to know which of its topics are closed, and to get no entry of a topic after its close. */
  checkClosed({ closed }: Model): void {
    for (const topic of this.filter.topics) {
      const first = this.heard.findIndex((heard) => heard.closed && heard.topic === topic)
      expect(first >= 0, `told that ${topic} is closed`).toBe(closed.has(topic))
      if (first >= 0)
        expect(this.heard.slice(first).filter((heard) => !heard.closed && heard.topic === topic)).toEqual([])
    }
    const isOver = this.filter.patterns.length === 0 && [...this.filter.topics].every((topic) => closed.has(topic))
    expect(this.isDone || this.subscription!.ended).toBe(isOver)
  }
}

/** The log of one run, which is opened again and again and made to fail. */
interface Storage {
  open(): Log | Promise<Log>
  /** Runs `act` while commits fail in this way. */
  failing(fault: Fault, at: number, act: () => Promise<unknown>): Promise<void>
}

const mayBeDone = (fault: Fault) => fault === 'after commit' || fault === 'cut off'

/** Resolves with true once the entry or topic is gone, also if a first attempt had deleted it already. */
const erased = (erasing: Promise<number>) =>
  erasing.then(
    () => true,
    (error) => {
      if (error instanceof AppError && error.code === 'nothing_to_delete') return true
      throw error
    },
  )

/** Accepts a refusal after which nothing was done, or after which the outcome is unknown. */
const refused = (error: unknown) => {
  if (error instanceof AppError && ['outcome_unknown', 'log_unavailable', 'log_unusable'].includes(error.code)) return
  throw error
}

function model(
  storage: () => Storage,
  steps: fc.Arbitrary<Step>,
  numRuns: number,
  pause: () => Promise<unknown> = nextTurn,
) {
  return fc.assert(
    fc.asyncProperty(
      fc.array(steps, { minLength: 5, maxLength: 60 }),
      fc.integer({ min: 1, max: 6 }),
      async (steps, windowCount) => {
        const model = new Model()
        const followers: Follower[] = []
        const { open, failing } = storage()
        const openHub = async () => {
          const hub = new Hub(memoryLog, { windowCount, maxChunkBytes: 60 })
          await hub.use(await open())
          return hub
        }
        let hub = await openHub()
        let keys = 0
        /**
         * Runs an act that may fail. After an unknown outcome the act runs again with the same keys. If nothing was done, the hub must be
         * as if nothing had been tried.
         */
        const attempt = async <T>({ fault, at = 0 }: { fault?: Fault; at?: number }, act: () => Promise<T>) => {
          if (fault === undefined) return act()
          let done: T | undefined
          const attempted = () =>
            act().then((result) => {
              done = result
            }, refused)
          await failing(fault, at, attempted)
          for (let tries = 0; done === undefined && mayBeDone(fault) && tries < 500; tries++) {
            await attempted()
            await pause()
          }
          return done
        }
        const publish = async (indices: number[], key?: string, pad = 0) => {
          const topics = indices.map((i) => TOPICS[i]!)
          const messages = topics.map((topic, i) => ({
            topic,
            data: topic.padEnd(pad),
            ...(key !== undefined && { key: `${key}/${i}` }),
          }))
          const published = await hub.publish(messages)
          return published.map(({ id }, i) => ({ id, seq: parsePosition(id)!.seq, topic: topics[i]! }))
        }
        try {
          for (const now of steps) {
            if (now.do === 'publish' || now.do === 'fail') {
              if (now.topics.some((i) => model.closed.has(TOPICS[i]!))) continue
              if (now.do === 'publish') {
                model.publish(await publish(now.topics))
                continue
              }
              const key = `${keys++}`
              const pad = now.fault === 'no room' ? 5000 : 0
              const said = await attempt(now, () => publish(now.topics, key, pad))
              if (said) model.publish(said)
            } else if (now.do === 'close') {
              const topic = TOPICS[now.topic]!
              if (model.closed.has(topic)) continue
              const [published] = await hub.publish([{ topic, data: topic, close: true }])
              const { id } = published!
              const { seq } = parsePosition(id)!
              model.closed.set(topic, seq)
              model.publish([{ id, seq, topic }])
            } else if (now.do === 'erase') {
              const one = [...model.kept.values()].at(-1 - now.entry)
              if (!one || model.erased.has(one.seq)) continue
              if (await attempt(now, () => erased(hub.directory.erase(one.topic, one.id)))) model.erase(one.seq)
            } else if (now.do === 'forget') {
              const topic = TOPICS[now.topic]!
              const isThere = model.closed.has(topic) || [...model.kept.values()].some((e) => e.topic === topic)
              if (!isThere) continue
              if (!(await attempt(now, () => erased(hub.directory.erase(topic))))) continue
              model.forget(topic)
              for (const follower of followers) {
                follower.heard = follower.heard.filter((heard) => heard.topic !== topic)
                // The reader has received the end of its stream, whether or not it has read on since.
                const isEnding = follower.stream.retries.length > 1
                const isOver = follower.isDone || follower.subscription!.ended || isEnding
                if (isOver && follower.filter.matches(topic)) await follower.connect(hub)
              }
            } else if (now.do === 'open') {
              const follower = new Follower(now.names, now.latest, pause)
              followers.push(follower)
              await follower.connect(hub)
            } else if (now.do === 'restart') {
              await hub.close()
              hub = await openHub()
              for (const follower of followers) await follower.connect(hub)
            } else {
              const follower = followers[now.reader % Math.max(1, followers.length)]
              if (now.do === 'read') await follower?.read(now.chunks, model)
              else await follower?.connect(hub)
            }
          }
          for (const follower of followers) {
            await follower.readTo(model.said.at(-1)?.seq ?? 0, model)
            follower.check(model)
          }
        } finally {
          await hub.close()
        }
      },
    ),
    { seed, numRuns },
  )
}

describe('random publishing, stalling, reconnecting, trimming and restarting: a reader gets each entry once and in order, or a true gap', () => {
  let server: RedisServer | undefined
  let hubs = 0
  beforeAll(async () => {
    if (!withoutRedis) server = await redisServer({ appendonly: 'yes', appendfsync: 'always' })
  })
  afterAll(async () => {
    await server?.kill()
    await cleanUp()
  })

  test('over SQLite', { timeout: runs(600_000, 3_600_000) }, () =>
    model(
      () => {
        const file = join(folder(), 'hub.db')
        return {
          open: () => openSqlite(file, { retention: RETENTION }),
          failing: (_, __, act) => act() as Promise<void>,
        }
      },
      step,
      runs(40, 3000),
    ),
  )

  test(
    'over SQLite with commits that fail at any statement, at the end, on a full disk, or after they were written',
    {
      timeout: runs(600_000, 3_600_000),
    },
    () =>
      model(
        () => {
          const sql = new FailingSql(join(folder(), 'hub.db'))
          return {
            open: () => sqlLog(sql.open(), { durability: 'disk', home: 'test', retention: RETENTION }),
            failing: (fault, at, act) => sql.failing(fault, at, act),
          }
        },
        fc.oneof({ weight: 16, arbitrary: step }, { weight: 6, arbitrary: failing }),
        runs(200, 5000),
      ),
  )

  test('over Redis that is out of memory, or cut off during a commit', { timeout: runs(600_000, 3_600_000) }, async ({
    skip,
  }) => {
    skip(withoutRedis !== '', withoutRedis)
    const command = (...words: string[]) => server!.command(words)
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
    await model(
      () => {
        const url = server!.url(`model-${++hubs}`)
        let log: Log
        return {
          async open() {
            log = await openRedis(url, { retention: RETENTION })
            return log
          },
          async failing(fault, _, act) {
            if (fault === 'no room') {
              await command('CONFIG', 'SET', 'maxmemory', '1')
              await act()
              await command('CONFIG', 'SET', 'maxmemory', '0')
            } else if (fault === 'cut off') {
              await Promise.all([act(), command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')])
              const isBack = () => log.topics({ names: ['a'] }).then(...([() => true, () => false] as const))
              do await pause(20)
              while (!(await isBack()))
            } else await act()
          },
        }
      },
      fc.oneof({ weight: 16, arbitrary: step }, { weight: 4, arbitrary: failing }),
      runs(8, 300),
      () => pause(1),
    )
  })
})
