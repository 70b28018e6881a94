import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { runs, soak } from '../seed.ts'
import { node, type Runtime, runtimes, servers, worker } from '../server/runtimes.ts'
import { cleanUp, folder, folderInMemory, rssOf, type Server, start, withoutProc } from '../server/server.ts'
import type { Aborts } from './hostile/aborts.ts'
import type { Calls } from './hostile/answers.ts'
import { aside } from './hostile/aside.ts'
import type { Bodies } from './hostile/bodies.ts'
import type { Deaf } from './hostile/deaf.ts'
import { Friend } from './hostile/friend.ts'
import type { Patterns } from './hostile/patterns.ts'
import { limits, Scene, settings } from './hostile/scene.ts'
import type { Searches } from './hostile/searches.ts'
import type { Slow } from './hostile/slow.ts'
import type { Topics } from './hostile/topics.ts'
import type { Uploads } from './hostile/uploads.ts'

const MIB = 1024 ** 2
/** Each attack is divided into this many rounds. */
const ROUNDS = runs(1, 5)
const SENDERS = runs(200, 1000)
const DEAF = runs(300, 5000)
const BODIES = runs(3, 300)
const ABORTS = runs(600, 100_000)
const TOPICS = runs(8000, 1_000_000)
const STREAMS = runs(50, 200)
/** How long events are published, with and without the attackers: long enough to drop these. */
const FLOOD_MS = runs(1000, 5000)
/** More than Linux buffers for a socket, and a chunk. */
const ENOUGH = 6 * MIB
/** Node's `headersTimeout`, with time for a busy machine. */
const MAX_HEADERS_MS = 10_000 + 5000
/** How much memory a body that waits may take, and 2.9 KB of patterns: much less than before they had bounds. */
const MAX_BYTES_OF_BODY = 450 * 1024
const MAX_BYTES_OF_PATTERNS = 140 * 1024
/** After this time a hub has noticed that a client has left: on Deno it looks once a second. */
const GONE_MS = 2500
/** Less than Node's own `requestTimeout`, which is 10 s longer. */
const MAX_BODY_MS = limits.bodyMs + 8000

for (const runtime of runtimes) {
  const why = whyNot(runtime)
  const title = `a healthy reader on ${runtime.name} gets everything in spite of${why && ` (skipped: ${why})`}`
  describe.skipIf(why)(title, { timeout: runs(270_000, 1_800_000) }, () => {
    let opened: Promise<Scene> | undefined
    const open = () => {
      opened ??= Scene.of(runtime, DEAF)
      return opened
    }
    afterAll(async () => {
      ;(await opened)?.stop()
      await cleanUp()
    })

    test('senders of one byte a second, which are refused', async () => {
      const scene = await open()
      const slow = scene.attacker<Slow>('slow.ts')
      const attack = {
        async make() {
          await slow.ask('begin', SENDERS, limits.bodyMs)
          await pause(limits.bodyMs) // most of them are refused in this time
        },
        end: () => slow.ask('end'),
      }
      const what = `${3 * SENDERS} senders of one byte a second`
      await scene.withstands(what, attack)
      const { headers, json, ndjson } = await endingsOn(runtime)
      const said = Object.entries({ headers, json, ndjson }).map(
        ([of, { closed, lastMs }]) =>
          `${closed} of ${SENDERS} that send ${of}${closed > 0 ? `, after ${lastMs} ms` : ''}`,
      )
      console.log(`${runtime.name}: disconnected were ${said.join('; ')}`)
      for (const { statuses } of [json, ndjson]) expect(statuses).toEqual({ 408: SENDERS })
      // The other runtimes answer, and handle connections and headers by their own rules.
      if (runtime === node) {
        expect(headers.statuses).toEqual({ 408: SENDERS })
        for (const { closed } of [headers, json, ndjson]) expect(closed).toBe(SENDERS)
        expect(json.lastMs).toBeLessThan(MAX_BODY_MS)
      }
      expect(json.answeredMs).toBeGreaterThanOrEqual(limits.bodyMs - 2)
      expect(ndjson.answeredMs).toBeGreaterThanOrEqual(limits.streamMs - 2)
    })

    test('readers that never read, which are dropped', async ({ skip }) => {
      skip(DEAF > 0.7 * maxFiles(), `${DEAF} readers take more open files than the ${maxFiles()} of ulimit -n`)
      const scene = await open()
      const deaf = scene.attacker<Deaf>('deaf.ts')
      const filling: number[] = []
      const flood = () => deaf.ask('flood', (MIB * FLOOD_MS) / 1000, FLOOD_MS)
      await scene.withstands(`${DEAF} readers that never read`, {
        usual: flood,
        async prepare() {
          await deaf.ask('begin', DEAF)
          await expect.poll(scene.server.readers, { timeout: 20_000 }).toBe(DEAF + scene.friends)
          // Until its buffers are full, each of them costs as much as a reader that reads.
          filling.push((await scene.late(() => deaf.ask('flood', ENOUGH, 1000))).p99)
        },
        make: flood,
        async end() {
          await expect.poll(scene.server.readers, { timeout: 20_000 }).toBe(scene.friends)
          await deaf.ask('end')
        },
      })
      console.log(`${runtime.name}: while their buffers fill, the healthy reader's p99 is ${filling.join(', ')} ms`)
    })

    test('bodies that are too large, too deep, compressed or in too many parts, which are all refused', async () => {
      const scene = await open()
      const bodies = scene.attacker<Bodies>('bodies.ts')
      const others = new Set<string>()
      await scene.withstands('bodies that must be refused', {
        async make() {
          for (const other of await bodies.ask('send', BODIES / ROUNDS)) others.add(other)
        },
      })
      expect([...others]).toEqual([])
    })

    test('readers that disconnect after any number of bytes', async () => {
      const scene = await open()
      const aborts = scene.attacker<Aborts>('aborts.ts')
      await aborts.ask('prepare')
      await scene.withstands(`${ABORTS} readers that come and go`, {
        make: () => aborts.ask('come', Math.ceil(ABORTS / ROUNDS)),
      })
    })

    test('a flood of topics, which can still be listed', async () => {
      const scene = await open()
      const topics = scene.attacker<Topics>('topics.ts')
      let listed: string[] = []
      await scene.withstands(`${TOPICS} topics`, {
        async make() {
          await topics.ask('explode', Math.ceil(TOPICS / ROUNDS))
          listed = await listAll(scene.server.url, 'bang/')
        },
      })
      expect(listed).toEqual([...new Set(listed)].sort())
      expect(listed.length).toBeGreaterThan(limits.entries / 2)
      expect(listed.length).toBeLessThanOrEqual(limits.entries)
    })

    test('patterns and topics that are expensive to match', async () => {
      const scene = await open()
      const patterns = scene.attacker<Patterns>('patterns.ts')
      const most = await patterns.ask('prepare')
      await scene.withstands(`${STREAMS} streams of ${most.patterns} patterns of ${most.depth} segments`, {
        prepare: () => patterns.ask('begin', STREAMS),
        make: () => patterns.ask('publish', 20, runs(1000, 5000)),
        end: () => patterns.ask('end'),
      })
    })

    test('requests for history by such patterns', async () => {
      const scene = await open()
      const patterns = scene.attacker<Patterns>('patterns.ts')
      const most = await patterns.ask('prepare')
      await patterns.ask('fill', limits.entries)
      await scene.withstands(`requests for history by ${most.patterns} patterns of ${most.depth} segments`, {
        make: () => patterns.ask('resume', limits.entries - 1000, runs(1000, 5000)),
      })
    })
  })
}

describe.skipIf(withoutProc).each(servers)(
  `a hub on $name serves others, and its memory is bounded, ${withoutProc}`,
  {
    timeout: 180_000,
  },
  (runtime) => {
    afterEach(cleanUp)

    const open = async (settings: Record<string, string> = {}) => {
      const server = await start({ LOG: `sqlite:${folderInMemory()}/hub.db`, ...settings }, runtime)
      return { server, friend: await Friend.of(server), rss: rssOf(server.serves) }
    }
    const attacker = <Known extends Calls>(module: string, { port }: Server) => {
      const attacker = aside<Known>(module, port)
      onTestFinished(attacker.stop)
      return attacker
    }

    test('while 1,100 streamed bodies of 65 KB wait for their rate; they stop when their client leaves', async () => {
      const rate = 100
      const most = 1000
      const { server, friend, rss } = await open({
        PUBLISH_RATE: `${rate}`,
        MAX_STREAMED_BODIES: `${most + 1}`,
        MAX_STREAMED_BODIES_PER_ADDRESS: `${most}`,
        TRUSTED_PROXIES: '127.0.0.1',
      })
      const uploads = attacker<Uploads>('uploads.ts', server)
      const began = performance.now()
      await uploads.ask('begin', most + 100)
      await expect.poll(() => uploads.ask('statuses'), { timeout: 20_000 }).toEqual({ 429: 100 })
      await friend.isServed()
      expect(await friend.streamsBody()).toBe(200)
      const each = (rssOf(server.serves) - rss) / most
      expect(each).toBeLessThan(MAX_BYTES_OF_BODY)
      expect(await friend.kept('flood')).toBeLessThanOrEqual((rate * (performance.now() - began)) / 1000 + rate + 256)
      expect(await uploads.ask('statuses')).toEqual({ 429: 100 })
      await uploads.ask('end')
      await pause(GONE_MS)
      const kept = await friend.kept('flood')
      await pause(GONE_MS)
      expect(await friend.kept('flood')).toBe(kept)
      await friend.isServed()
      await uploads.ask('begin', most)
      await pause(1000)
      expect(await uploads.ask('statuses')).toEqual({})
      console.log(`${runtime.name}: a streamed body that waits holds ${Math.round(each / 1024)} KiB`)
    })

    test('while 1,100 clients search for the newest events; history is given to others when they have left', async () => {
      const { server, friend, rss } = await open()
      const count = 200_000
      const body = Array.from({ length: count }, (_, i) => `{"topic":"history/${i % 100}","data":"x"}\n`).join('')
      const headers = { 'content-type': 'application/x-ndjson' }
      const filled = await fetch(`${server.url}/send`, { method: 'POST', body, headers })
      expect(await filled.json()).toMatchObject({ taken: count })
      const searches = attacker<Searches>('searches.ts', server)
      await searches.ask('begin', 1100)
      await expect.poll(() => searches.ask('statuses'), { timeout: 20_000 }).toEqual({ 429: 100 }) // MAX_REPLAYS=1000
      await friend.isServed()
      expect(rssOf(server.serves) - rss).toBeLessThan(300 * MIB)
      await searches.ask('end')
      await pause(500)
      await friend.getsHistory()
      await friend.isServed()
    })

    test('while 500 readers have 2.9 KB of patterns each', async () => {
      const readers = 500
      const { server, friend, rss } = await open()
      const patterns = attacker<Patterns>('patterns.ts', server)
      await patterns.ask('beginShared', readers, false)
      const narrow = rssOf(server.serves)
      await patterns.ask('beginShared', readers, true)
      const each = (rssOf(server.serves) - narrow - (narrow - rss)) / readers
      expect(each).toBeLessThan(MAX_BYTES_OF_PATTERNS)
      await friend.isServed()
      const headers = { 'content-type': 'text/plain' }
      await fetch(`${server.url}/send?topic=all/x`, { method: 'POST', body: 'for all', headers })
      await expect.poll(() => patterns.ask('received', ['for all'])).toBe(2 * readers)
      await patterns.ask('end')
      await expect.poll(server.readers).toBe(1)
      console.log(`${runtime.name}: 2.9 KB of patterns take ${Math.round(each / 1024)} KiB`)
    })
  },
)

function whyNot(runtime: Runtime): string {
  if (withoutProc) return withoutProc
  if (runtime === worker) return "the attack would hit wrangler's proxy"
  return runtime === node || soak ? '' : 'takes a minute: SOAK=1'
}

/** How slow senders end, on a separate hub, because that takes longer than measuring how they delay others. */
async function endingsOn(runtime: Runtime) {
  const { port } = await start({ ...settings, LOG: `sqlite:${folder()}/hub.db` }, runtime)
  const slow = aside<Slow>('slow.ts', port)
  onTestFinished(slow.stop)
  await slow.ask('begin', SENDERS, 0)
  return slow.ask('endings', MAX_HEADERS_MS)
}

/** The names of all topics with a prefix, page by page. */
async function listAll(url: string, prefix: string): Promise<string[]> {
  const names: string[] = []
  for (let after = ''; ; ) {
    const response = await fetch(`${url}/topics?prefix=${prefix}&limit=1000&after=${after}`)
    const page = (await response.json()) as { topics: { topic: string }[]; next?: string }
    names.push(...page.topics.map(({ topic }) => topic))
    if (page.next === undefined) return names
    after = page.next
  }
}

/** The open files that a process may have: the runtimes raise their limit to this. */
function maxFiles(): number {
  const [, hard] = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))!
  return Number(hard)
}
