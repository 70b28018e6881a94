import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { runs } from '../seed.ts'
import { random } from '../server/random.ts'
import { type RedisServer, redisServer, withoutRedis } from '../server/redis.ts'
import { post, Resuming, seqOf } from '../server/resuming.ts'
import { servers } from '../server/runtimes.ts'
import { cleanUp, freePort, type Server, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

const EVENTS = runs(4000, 200_000)
const KILLS = runs(4, 30)
const PUBLISHERS = 4
const READERS = 6
const BATCH = runs(5, 50)

/** A node that can be killed and come back at its port. */
interface Node {
  readonly env: Record<string, string>
  up: Promise<Server>
}

describe.skipIf(withoutRedis)(`many nodes${withoutRedis && ` (skipped: ${withoutRedis})`}`, () => {
  let redis: RedisServer | undefined

  afterEach(async () => {
    await redis?.kill()
    await cleanUp()
  })

  /** One on each runtime. */
  async function open(settings: Record<string, string> = {}): Promise<Node[]> {
    redis = await redisServer()
    const url = redis.url()
    return Promise.all(
      servers.map(async (runtime) => {
        const env = { PORT: `${await freePort()}`, LOG: url, ...settings }
        return { env, up: Promise.resolve(await start(env, runtime)) }
      }),
    )
  }

  test('are one hub: killed one by one, with readers that go from one to the other, nothing is missing, doubled or out of order', {
    timeout: runs(90_000, 600_000),
  }, async () => {
    const nodes = await open()
    const numbers = random()
    const any = () => numbers.pick(nodes).up
    const acknowledged = new Map<string, string>()
    let next = 0

    async function publisher(n: number): Promise<void> {
      for (let first = next; first < EVENTS; first = next) {
        next += BATCH
        const batch = Array.from({ length: BATCH }, (_, i) => ({ data: `${first + i}`, key: `${first + i}` }))
        let answer: { ids: string[] } | undefined
        while (!answer) answer = await post<{ ids: string[] }>(`${(await any()).url}/send?topic=t/${n}`, batch)
        for (const [i, { data }] of batch.entries()) acknowledged.set(data, answer.ids[i]!)
      }
    }

    const [first] = await Promise.all(nodes.map(({ up }) => up))
    const { id } = (await post<{ id: string }>(`${first!.url}/send?topic=begin`, { data: 'begin' }))!
    const readers = Array.from({ length: READERS }, (_, i) => new Resuming(`reader ${i}`, '/event?topic=t/*', id))
    const reading = readers.map((reader, i) => reader.run(any, random(i + 1)))
    onTestFinished(() => {
      next = EVENTS
      for (const reader of readers) reader.stop()
    })
    const publishing = Promise.all(Array.from({ length: PUBLISHERS }, (_, n) => publisher(n)))

    for (let kills = 0; kills < KILLS; kills++) {
      const before = next
      while (next < EVENTS && next - before < EVENTS / (KILLS + 1)) await pause(5)
      const i = kills % nodes.length
      const node = nodes[i]!
      const server = await node.up
      node.up = server.kill('SIGKILL').then(() => start(node.env, servers[i]!))
    }
    await publishing

    const newest = [...acknowledged.values()].reduce((last, of) => (seqOf(of) > seqOf(last) ? of : last))
    for (const reader of readers) await reader.reaches(newest)
    for (const reader of readers) reader.stop()
    await Promise.all(reading)
    const said = readers[0]!.got
    console.log(
      `three nodes, ${KILLS} kills: ${acknowledged.size} events acknowledged; ${READERS} readers came ${readers.map(({ streams }) => streams).join(', ')} times`,
    )
    expect(said.map(([of]) => seqOf(of))).toEqual(Array.from({ length: EVENTS }, (_, i) => seqOf(id) + 1 + i))
    expect(new Set(said.map(([, data]) => data)).size).toBe(EVENTS)
    const places = new Map(said.map(([of, data]) => [data, of]))
    expect([...acknowledged].filter(([data, of]) => places.get(data) !== of)).toEqual([])
    for (const { got, gaps, name } of readers) {
      const wrong = said.findIndex(([of, data], i) => got[i]?.[0] !== of || got[i]?.[1] !== data)
      expect.soft([name, got.length, wrong, gaps]).toEqual([name, EVENTS, -1, []])
    }
  })

  test('count the readers of all, and not those of a node that was killed', { timeout: 60_000 }, async () => {
    const nodes = await open()
    const up = await Promise.all(nodes.map((node) => node.up))
    const streams = up.flatMap(({ port }) =>
      ['topic=news', 'topic=other', 'topic=news&topic=*'].map((query) => new Stream(port, `/event?${query}`)),
    )
    onTestFinished(() => {
      for (const { socket } of streams) socket.destroy()
    })
    for (const stream of streams) await stream.until(() => stream.reader.control('open').length > 0)
    const count = async ({ url }: Server) =>
      ((await (await fetch(`${url}/topics/news`)).json()) as { readers: number }).readers
    for (const server of up) await expect.poll(() => count(server)).toBe(6)
    await up[2]!.kill('SIGKILL')
    const began = performance.now()
    await expect.poll(() => count(up[0]!), { timeout: 30_000 }).toBe(4)
    expect(performance.now() - began).toBeLessThan(30_000)
    const page = (await (await fetch(`${up[1]!.url}/topics?topic=*`)).json()) as { topics: unknown[] }
    expect(page.topics).toEqual([])
  })

  test('have one rate of publishing for an address, wherever it publishes', async () => {
    const nodes = await open({ PUBLISH_RATE: '5' })
    const up = await Promise.all(nodes.map((node) => node.up))
    const statuses: number[] = []
    for (let i = 0; i < 4; i++)
      for (const { url } of up) {
        const answer = await fetch(`${url}/send?topic=a`, {
          method: 'POST',
          body: 'x',
          headers: { 'content-type': 'text/plain' },
        })
        statuses.push(answer.status)
        if (answer.status === 429) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      }
    const taken = statuses.filter((status) => status === 200).length
    expect(taken).toBeGreaterThanOrEqual(5)
    expect(taken).toBeLessThan(9) // what came back in the meantime, and not 12
  })

  test('tell every reader when their server has lost what it had', async () => {
    const nodes = await open()
    const up = await Promise.all(nodes.map((node) => node.up))
    const { id } = (await post<{ id: string }>(`${up[0]!.url}/send?topic=a`, { data: 'x' }))!
    const streams = up.map(({ port }) => new Stream(port, '/event?topic=a', { lastEventId: id }))
    for (const stream of streams) await stream.until(() => stream.reader.control('open').length > 0)
    await redis!.command(['FLUSHALL'])
    for (const [i, stream] of streams.entries()) {
      await stream.until(() => stream.ended)
      expect(stream.reader.retries.at(-1)).toBeGreaterThan(0)
      const back = new Stream(up[i]!.port, '/event?topic=a', { lastEventId: stream.reader.lastEventId })
      onTestFinished(() => void back.socket.destroy())
      await back.until(() => back.reader.control('gap').length > 0)
      expect(back.reader.control('gap')).toMatchObject([{ reason: 'epoch', from: id, exact: false }])
    }
  })
})
