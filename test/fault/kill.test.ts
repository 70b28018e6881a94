import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { part } from '../part.ts'
import { runs } from '../seed.ts'
import { random } from '../server/random.ts'
import { type Placed, post, Resuming, saidIn, seqOf } from '../server/resuming.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { cleanUp, folder, freePort, type Server, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

interface Answer {
  readonly id: string
  readonly duplicate?: true
}

const PUBLISHERS = 4
/** Requests that a publisher has open at once; a kill leaves their outcome unknown. */
const IN_FLIGHT = 4
/** A server that is up and has not answered after this many tries never will. */
const MAX_TRIES = 100

afterEach(cleanUp)

describe.each(part([node], [bun, deno, worker]))('a hub on $name', (runtime) => {
  test('keeps every acknowledged event over kill -9, and resuming readers get the log once and in order', {
    timeout: runs(180_000, 300_000),
  }, async () => {
    // wrangler takes seconds to start, and its first answers are slow.
    const [kills, mostMs] = runtime === worker ? [runs(2, 5), 2000] : [runs(4, 20), 500]
    const numbers = random()
    const env = { PORT: `${await freePort()}`, LOG: `sqlite:${join(folder(), 'hub.db')}`, RETENTION_COUNT: '10000000' }
    let server = await start(env, runtime)
    let up = Promise.resolve(server)
    let publishing = true
    let retried = 0
    let duplicates = 0
    let repeated = 0
    /** The position of every publish answered with 200, by its data. */
    const acknowledged = new Map<string, string>()

    /** Publishes until there is an answer. After an unknown outcome publishes again with the same key. */
    async function publish(topic: string, data: string): Promise<void> {
      for (let tries = 1; ; tries++) {
        const { url } = await up
        const answer = await post<Answer>(`${url}/send?topic=${topic}`, { data, key: data })
        if (!answer) {
          if (tries === MAX_TRIES)
            throw new Error(`No answer to ${data} after ${tries} tries:\n${server.output.slice(-1000)}`)
          retried++
          continue
        }
        if (answer.duplicate) duplicates++
        acknowledged.set(data, answer.id)
        return
      }
    }

    async function publisher(n: number): Promise<void> {
      const numbers = random(100 + n)
      let i = 0
      const lane = async () => {
        while (publishing) {
          await publish(`t/${n}`, `${n}:${i++}`)
          if (numbers() < 0.1) await repeat(`t/${n}`, `${n}:${numbers.whole(0, i - 1)}`)
        }
      }
      await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
    }

    /** Publishes an acknowledged message again, which a process that was killed may have acknowledged. */
    async function repeat(topic: string, data: string): Promise<void> {
      const { url } = await up
      const answer = acknowledged.has(data) && (await post<Answer>(`${url}/send?topic=${topic}`, { data, key: data }))
      if (!answer) return
      expect(answer).toMatchObject({ id: acknowledged.get(data), duplicate: true })
      repeated++
    }

    /** Sets the demo's value, without keys: an unknown outcome stays unknown. */
    async function sender(): Promise<void> {
      for (let i = 0; publishing; i++) {
        const { url } = await up
        const answer = await post<Answer>(`${url}/send`, { message: `m${i}` })
        if (answer) acknowledged.set(`m${i}`, answer.id)
        await pause(2)
      }
    }

    const [epoch] = (await openingId(server)).split('-') as [string]
    const readers = [
      new Resuming('exact topics', '/event?topic=t/0&topic=t/2', `${epoch}-0`),
      new Resuming('a pattern', '/event?topic=t/*', `${epoch}-0`),
      new Resuming('the demo stream', '/event', `${epoch}-0`),
    ]
    const reading = readers.map((reader, i) => reader.run(() => up, random(i + 1)))
    const publishers = Promise.all([...Array.from({ length: PUBLISHERS }, (_, n) => publisher(n)), sender()])

    onTestFinished(() => {
      publishing = false
      for (const reader of readers) reader.stop()
    })

    for (let i = 0; i < kills; i++) {
      await pause(numbers.whole(mostMs / 10, mostMs))
      const killed = server.kill('SIGKILL')
      up = killed.then(() => start(env, runtime))
      server = await up
    }
    await pause(50)
    publishing = false
    await publishers

    const log = await readAll(server, epoch)
    const newest = Math.max(...[...acknowledged.values()].map(seqOf))
    expect(log.map(([id]) => seqOf(id))).toEqual(Array.from({ length: Math.max(newest, log.length) }, (_, i) => i + 1))
    const said = new Map(log)
    const missing = [...acknowledged].filter(([data, id]) => said.get(id) !== data)
    const once = new Set(log.map(([, data]) => data))
    console.log(
      `${runtime.name}, kill -9 × ${kills}: ${acknowledged.size} acknowledged, ${missing.length} missing, ${log.length - once.size} doubled` +
        ` (${retried} requests cut off, ${duplicates} of them known by their key, ${repeated} published again on purpose; readers connected ${readers.map(({ streams }) => streams).join(', ')} times)`,
    )
    expect(missing).toEqual([])
    expect(once.size).toBe(log.length)
    expect(acknowledged.size).toBeGreaterThan(2 * kills)

    const owed = {
      'exact topics': log.filter(([, data]) => /^[02]:/.test(data)),
      'a pattern': log.filter(([, data]) => /^\d:/.test(data)),
      'the demo stream': log.filter(([, data]) => data.startsWith('m')),
    }
    for (const reader of readers) await reader.reaches(owed[reader.name as keyof typeof owed].at(-1)![0])
    for (const reader of readers) reader.stop()
    await Promise.all(reading)
    for (const reader of readers) {
      const expected = owed[reader.name as keyof typeof owed]
      const wrong = expected.findIndex(([id, data], i) => reader.got[i]?.[0] !== id || reader.got[i]?.[1] !== data)
      if (wrong >= 0)
        expect.soft(reader.got.slice(wrong, wrong + 3), reader.name).toEqual(expected.slice(wrong, wrong + 3))
      expect.soft(reader.got.length, reader.name).toBe(expected.length)
      expect.soft(reader.gaps, reader.name).toEqual([])
      expect.soft(reader.streams, reader.name).toBeGreaterThan(kills)
      expect
        .soft(
          reader.got.every(([id]) => id.startsWith(`${epoch}-`)),
          `${reader.name}: one epoch`,
        )
        .toBe(true)
    }
  })
})

async function openingId({ port }: Server): Promise<string> {
  const stream = new Stream(port, '/event')
  await stream.until(() => stream.reader.events.length > 0)
  stream.socket.destroy()
  return stream.reader.lastEventId!
}

/** Everything in the log, read anew from the start. */
async function readAll({ port, url }: Server, epoch: string): Promise<Placed[]> {
  const { id: end } = (await post<Answer>(`${url}/send?topic=end`, { data: 'end' }))!
  const stream = new Stream(port, '/event?topic=**&topic=$store', { lastEventId: `${epoch}-0` })
  await stream.until(() => stream.reader.events.at(-1)?.id === end)
  stream.socket.destroy()
  expect(stream.reader.control('open')).toMatchObject([{ state: 'resumed' }])
  expect(stream.reader.control('gap')).toEqual([])
  return stream.reader.events
    .filter(({ event }) => !event?.startsWith('hub.'))
    .map(({ event, data, id }) => [id!, saidIn(event, data)] as const)
}
