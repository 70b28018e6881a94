import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { runs, soak } from '../seed.ts'
import { node, type Runtime, runtimes, worker } from '../server/runtimes.ts'
import { cleanUp, folder, start, withoutProc } from '../server/server.ts'
import type { Aborts } from './hostile/aborts.ts'
import { aside } from './hostile/aside.ts'
import type { Bodies } from './hostile/bodies.ts'
import type { Deaf } from './hostile/deaf.ts'
import type { Patterns } from './hostile/patterns.ts'
import { limits, Scene, settings } from './hostile/scene.ts'
import type { Slow } from './hostile/slow.ts'
import type { Topics } from './hostile/topics.ts'

const MIB = 1024 ** 2
/** What is counted is shared out to so many rounds. */
const ROUNDS = runs(3, 5)
const SENDERS = runs(200, 1000)
const DEAF = runs(300, 5000)
const BODIES = runs(9, 300)
const ABORTS = runs(2000, 100_000)
const TOPICS = runs(20_000, 1_000_000)
const STREAMS = runs(50, 200)
/** What is published beside them, whether they are there or not: for so long that they are dropped meanwhile. */
const FLOOD_MS = runs(1000, 5000)
/** More than what the kernel holds for a socket on Linux, and a chunk. */
const ENOUGH = 6 * MIB
/** What Node's `headersTimeout` allows, and a busy machine. */
const MAX_HEADERS_MS = 10_000 + 5000
/** Less than the second guard that Node has, which lets a body come for 10 s more. */
const MAX_BODY_MS = limits.bodyMs + 8000

for (const runtime of runtimes) {
  const why = whyNot(runtime)
  const title = `a healthy reader on ${runtime.name} does not mind${why && ` (skipped: ${why})`}`
  describe.skipIf(why)(title, { timeout: runs(90_000, 1_800_000) }, () => {
    let opened: Promise<Scene> | undefined
    const open = () => {
      opened ??= Scene.of(runtime, DEAF)
      return opened
    }
    afterAll(async () => {
      ;(await opened)?.stop()
      await cleanUp()
    })

    test('senders of a byte a second, who are cut off', async () => {
      const scene = await open()
      const slow = scene.attacker<Slow>('slow.ts')
      const attack = {
        async make() {
          await slow.ask('begin', SENDERS, limits.bodyMs)
          await pause(limits.bodyMs) // in which most of them are cut off
        },
        end: () => slow.ask('end'),
      }
      const what = `${3 * SENDERS} senders of a byte a second`
      await scene.withstands(what, attack)
      const { headers, json, ndjson } = await endingsOn(runtime)
      const said = Object.entries({ headers, json, ndjson }).map(
        ([of, { closed, lastMs }]) =>
          `${closed} of ${SENDERS} that send ${of}${closed > 0 ? `, after ${lastMs} ms` : ''}`,
      )
      console.log(`${runtime.name}: cut off are ${said.join('; ')}`)
      for (const { statuses } of [json, ndjson]) expect(statuses).toEqual({ 408: SENDERS })
      // The others answer, and leave the connection to their runtime, as they do headers.
      if (runtime === node) {
        expect(headers.statuses).toEqual({ 408: SENDERS })
        for (const { closed } of [headers, json, ndjson]) expect(closed).toBe(SENDERS)
        expect(json.lastMs).toBeLessThan(MAX_BODY_MS)
      }
      expect(json.answeredMs).toBeGreaterThanOrEqual(limits.bodyMs - 2)
      expect(ndjson.answeredMs).toBeGreaterThanOrEqual(limits.streamMs - 2)
    })

    test('readers that never read, who are dropped', async ({ skip }) => {
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
          // Until its buffers are full, each of them costs what a reader does that reads.
          filling.push((await scene.late(() => deaf.ask('flood', ENOUGH, 1000))).p99)
        },
        make: flood,
        async end() {
          await expect.poll(scene.server.readers, { timeout: 20_000 }).toBe(scene.friends)
          await deaf.ask('end')
        },
      })
      console.log(`${runtime.name}: while their buffers fill, its p99 is ${filling.join(', ')} ms`)
    })

    test('bodies that are too large, too deep, compressed or of very many parts: each is refused', async () => {
      const scene = await open()
      const bodies = scene.attacker<Bodies>('bodies.ts')
      const others = new Set<string>()
      await scene.withstands('bodies that nobody should take', {
        async make() {
          for (const other of await bodies.ask('send', BODIES / ROUNDS)) others.add(other)
        },
      })
      expect([...others]).toEqual([])
    })

    test('readers that are gone at any byte', async () => {
      const scene = await open()
      const aborts = scene.attacker<Aborts>('aborts.ts')
      await aborts.ask('prepare')
      await scene.withstands(`${ABORTS} readers that come and go`, {
        make: () => aborts.ask('come', Math.ceil(ABORTS / ROUNDS)),
      })
    })

    test('very many topics, which are listed all the same', async () => {
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

    test('patterns and topics that are made to be dear', async () => {
      const scene = await open()
      const patterns = scene.attacker<Patterns>('patterns.ts')
      const depth = await patterns.ask('prepare')
      await scene.withstands(`${STREAMS} streams of 100 patterns of ${depth} segments`, {
        prepare: () => patterns.ask('begin', STREAMS),
        make: () => patterns.ask('publish', 20, runs(1000, 5000)),
        end: () => patterns.ask('end'),
      })
    })

    test('questions for the past by such patterns', async () => {
      const scene = await open()
      const patterns = scene.attacker<Patterns>('patterns.ts')
      const depth = await patterns.ask('prepare')
      await patterns.ask('fill', limits.entries)
      await scene.withstands(`questions by 100 patterns of ${depth} segments`, {
        make: () => patterns.ask('resume', limits.entries - 1000, runs(1000, 5000)),
      })
    })
  })
}

function whyNot(runtime: Runtime): string {
  if (withoutProc) return withoutProc
  if (runtime === worker) return "what would be attacked is its tool's front"
  return runtime === node || soak ? '' : 'takes a minute: SOAK=1 npm test'
}

/** How slow senders end, on a hub of their own, because it takes longer than to see what others suffer from them. */
async function endingsOn(runtime: Runtime) {
  const { port } = await start({ ...settings, LOG: `sqlite:${folder()}/hub.db` }, runtime)
  const slow = aside<Slow>('slow.ts', port)
  onTestFinished(slow.stop)
  await slow.ask('begin', SENDERS, 0)
  return slow.ask('endings', MAX_HEADERS_MS)
}

/** Names of all topics that begin so, a page after another. */
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

/** What a process may have open: the runtimes take as much as they are allowed to. */
function maxFiles(): number {
  const [, hard] = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))!
  return Number(hard)
}
