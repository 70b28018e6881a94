import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { Hub } from '../../src/hub/hub.ts'
import { parsePosition } from '../../src/hub/position.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'

const RETENTION = { count: 12, topicCount: 5 }
const TOPICS = ['a', 'b', 'c/x', 'c/y']

type Step =
  | { do: 'publish'; topics: number[] }
  | { do: 'close'; topic: number }
  | { do: 'open'; names: string[]; latest: boolean }
  | { do: 'erase'; entry: number }
  | { do: 'forget'; topic: number }
  | { do: 'read'; reader: number; chunks: number }
  | { do: 'reconnect'; reader: number }
  | { do: 'restart' }

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

/** The tiny model: everything that was ever acknowledged, what of it the rule of retention keeps, and what was erased. */
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

  /** A close outlives its words: its entry is kept without them. */
  erase(seq: number): void {
    this.erased.add(seq)
    if (![...this.closed.values()].includes(seq)) this.kept.delete(seq)
  }

  /** What is forgotten is gone like anything trimmed. */
  forget(topic: string): void {
    this.closed.delete(topic)
    for (const { seq } of [...this.kept.values()].filter((e) => e.topic === topic)) this.kept.delete(seq)
  }

  #trim(entries: readonly Said[], count: number): void {
    for (const { seq } of entries.slice(0, Math.max(0, entries.length - count))) this.kept.delete(seq)
  }
}

/** One reader over all its connections: what it was given, and what it was told it cannot have. */
class Follower {
  readonly filter: Filter
  readonly latest: boolean
  subscription: Subscription | undefined
  stream = new Reader()
  start: number | undefined
  readonly got: number[] = []
  readonly gaps: { from: number; to: number }[] = []
  /** What was said of topics, in order: their entries, and that they are closed. */
  heard: { topic: string; closed: boolean }[] = []
  /** The hub has nothing left for this reader. */
  isDone = false
  lastEventId: string | undefined

  constructor(names: string[], latest: boolean) {
    this.filter = Filter.parse(names)
    this.latest = latest
  }

  async connect(hub: Hub): Promise<void> {
    this.subscription?.close()
    this.stream = new Reader()
    this.subscription = await hub.subscribe(this.filter, {
      latest: this.latest,
      ...(this.lastEventId !== undefined && { lastEventId: this.lastEventId }),
    })
    this.isDone = this.subscription === undefined
    await this.read(1) // the retry and, unless the log is asked first, the opening
    if (this.lastEventId === undefined) await this.read(1)
  }

  /** Takes up to so many chunks; fewer when nothing more is due. */
  async read(chunks: number, model?: Model): Promise<void> {
    for (let taken = 0, idle = 0; taken < chunks && idle < 8; ) {
      const bytes = this.subscription?.read()
      if (bytes) {
        this.take(bytes, model)
        taken++
        idle = 0
      } else idle++
      if (!bytes) await nextTurn()
    }
  }

  take(bytes: Uint8Array, model?: Model): void {
    const known = this.stream.events.length
    this.stream.feed(bytes)
    for (const { event, data, id } of this.stream.events.slice(known)) {
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

  /** A gap ends at an entry of ours that is really gone: never a false alarm, and no wider than it must be. */
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

  /** Who has had everything knows of each of its topics that it is closed, and heard no more of it after that. */
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

test('random publishing, stalling, reconnecting, trimming and restarting: each entry once and in order, or a gap that is true', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60 }),
      fc.integer({ min: 1, max: 6 }),
      async (steps, windowCount) => {
        const folder = mkdtempSync(join(tmpdir(), 'tidings-'))
        const model = new Model()
        const followers: Follower[] = []
        const open = () =>
          new Hub(() => openSqlite(join(folder, 'hub.db'), { retention: RETENTION }), {
            windowCount,
            maxChunkBytes: 60,
          })
        let hub = open()
        try {
          for (const now of steps) {
            if (now.do === 'publish') {
              const topics = now.topics.map((i) => TOPICS[i]!)
              if (topics.some((topic) => model.closed.has(topic))) continue
              const published = await hub.publish(topics.map((topic) => ({ topic, data: topic })))
              model.publish(published.map(({ id }, i) => ({ id, seq: parsePosition(id)!.seq, topic: topics[i]! })))
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
              await hub.erase(one.topic, one.id)
              model.erase(one.seq)
            } else if (now.do === 'forget') {
              const topic = TOPICS[now.topic]!
              const isThere = model.closed.has(topic) || [...model.kept.values()].some((e) => e.topic === topic)
              if (!isThere) continue
              await hub.erase(topic)
              model.forget(topic)
              for (const follower of followers) {
                follower.heard = follower.heard.filter((heard) => heard.topic !== topic)
                const isOver = follower.isDone || follower.subscription!.ended
                if (isOver && follower.filter.matches(topic)) await follower.connect(hub)
              }
            } else if (now.do === 'open') {
              const follower = new Follower(now.names, now.latest)
              followers.push(follower)
              await follower.connect(hub)
            } else if (now.do === 'restart') {
              await hub.close()
              hub = open()
              for (const follower of followers) await follower.connect(hub)
            } else {
              const follower = followers[now.reader % Math.max(1, followers.length)]
              if (now.do === 'read') await follower?.read(now.chunks, model)
              else await follower?.connect(hub)
            }
          }
          for (const follower of followers) {
            await follower.read(1000, model)
            follower.check(model)
          }
        } finally {
          await hub.close()
          rmSync(folder, { recursive: true })
        }
      },
    ),
    { seed, numRuns: runs(60, 3000) },
  )
}, 600_000)
