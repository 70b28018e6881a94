import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openSqlite } from '../../src/adapters/sqlite.ts'
import { Hub } from '../../src/hub/hub.ts'
import { parsePosition } from '../../src/hub/position.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import { nextTurn } from '../../src/log/turn.ts'
import { Filter } from '../../src/topic.ts'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'

const RETENTION = { count: 12, topicCount: 5 }
const TOPICS = ['a', 'b', 'c/x', 'c/y']

type Step =
  | { do: 'publish'; topics: number[] }
  | { do: 'close'; topic: number }
  | { do: 'open'; names: string[] }
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
)

/** The tiny model: everything that was ever acknowledged, and by the rule of retention what of it is kept. */
class Model {
  readonly said: { seq: number; topic: string }[] = []
  readonly closed = new Map<string, number>()

  isKept(seq: number): boolean {
    const byTopic = TOPICS.flatMap((topic) => this.said.filter((e) => e.topic === topic).slice(-RETENTION.topicCount))
    const kept = byTopic
      .map((e) => e.seq)
      .sort((x, y) => x - y)
      .slice(-RETENTION.count)
    return kept.includes(seq)
  }
}

/** One reader over all its connections: what it was given, and what it was told it cannot have. */
class Follower {
  readonly filter: Filter
  subscription: Subscription | undefined
  stream = new Reader()
  start: number | undefined
  readonly got: number[] = []
  readonly gaps: { from: number; to: number }[] = []
  /** What was said of topics, in order: their entries, and that they are closed. */
  readonly heard: { topic: string; closed: boolean }[] = []
  /** The hub has nothing left for this reader. */
  isDone = false
  lastEventId: string | undefined

  constructor(names: string[]) {
    this.filter = Filter.parse(names)
  }

  async connect(hub: Hub): Promise<void> {
    this.subscription?.close()
    this.stream = new Reader()
    this.subscription = await hub.subscribe(
      this.filter,
      this.lastEventId === undefined ? {} : { lastEventId: this.lastEventId },
    )
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
    expect(model.isKept(to)).toBe(false)
  }

  check(model: Model): void {
    expect(this.got).toEqual([...new Set(this.got)].sort((x, y) => x - y))
    const owed = model.said
      .filter(({ seq, topic }) => seq > this.start! && this.filter.matches(topic))
      .map(({ seq }) => seq)
    const told = (seq: number) => this.gaps.some(({ from, to }) => from < seq && seq <= to)
    expect(owed.filter((seq) => !this.got.includes(seq) && !told(seq))).toEqual([])
    expect(this.got.filter((seq) => !owed.includes(seq))).toEqual([])
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
              for (const [i, { id }] of published.entries())
                model.said.push({ seq: parsePosition(id)!.seq, topic: topics[i]! })
            } else if (now.do === 'close') {
              const topic = TOPICS[now.topic]!
              if (model.closed.has(topic)) continue
              const [published] = await hub.publish([{ topic, data: topic, close: true }])
              const { seq } = parsePosition(published!.id)!
              model.said.push({ seq, topic })
              model.closed.set(topic, seq)
            } else if (now.do === 'open') {
              const follower = new Follower(now.names)
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
