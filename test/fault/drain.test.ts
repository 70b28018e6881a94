import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { runs } from '../seed.ts'
import { bun, deno, node } from '../server/runtimes.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { request, Stream } from '../server/stream.ts'

const READERS = runs(300, 4000)
const RETURNS_PER_SECOND = 500
const MIN_RETRY_MS = 500
const MAX_STOP_MS = 10_000
/** The end of a stream of topics that the hub has ended. */
const ENDING = /\nevent: hub\.ending\ndata: \{\}\nretry: \d+\n\n$/

const views = [
  { path: '/event', topics: ['$store'] },
  { path: '/event?topic=a', topics: ['a'] },
  { path: '/event?topic=a&topic=b', topics: ['a', 'b'] },
  { path: '/event?topic=*', topics: ['a', 'b'] },
]

afterEach(cleanUp)

describe.each(part([node], [bun, deno]))('a server on $name that is told to stop', (runtime) => {
  test('sends every reader all acknowledged events and a spread retry, and ends its stream cleanly', {
    timeout: runs(120_000, 600_000),
  }, async () => {
    const env = { LOG: `sqlite:${join(folder(), 'hub.db')}`, PORT: '0' }
    const server = await start(env, runtime)
    const readers = await open(server, READERS)
    const sent = new Sent(server)
    await expect.poll(() => sent.acknowledged.size, { timeout: 20_000, interval: 5 }).toBeGreaterThan(30)

    const owed = [...sent.acknowledged]
    const began = performance.now()
    const stopped = server.kill('SIGTERM')
    await Promise.all(readers.map(({ stream }) => stream.gone()))
    expect(await stopped).toBe(0)
    const stopMs = performance.now() - began
    await sent.finished

    for (const { stream, topics, path } of readers) {
      expect(stream.ended, `${path} ended with its last chunk`).toBe(true)
      expect(stream.reader.text).toMatch(path.includes('topic') ? ENDING : /\nretry: \d+\n$/)
      const got = placed(stream)
      const due = owed.filter(([, topic]) => topics.includes(topic)).map(([id]) => id)
      expect(
        due.filter((id) => !got.includes(id)),
        `${path} misses`,
      ).toEqual([])
      expect(got).toEqual([...new Set(got)].sort(bySeq))
    }
    const retries = readers.map(({ stream }) => stream.reader.retries.at(-1)!)
    const [least, most] = [Math.min(...retries), Math.max(...retries)]
    console.log(
      `${runtime.name}: SIGTERM with ${READERS} readers: all of ${owed.length} acknowledged delivered, exit 0 after ${Math.round(stopMs)} ms, retry ${least}…${most} ms (${new Set(retries).size} different), ` +
        `${sent.acknowledged.size - owed.length} more acknowledged while draining`,
    )
    const spreadMs = (READERS / RETURNS_PER_SECOND) * 1000
    expect(least).toBeGreaterThanOrEqual(MIN_RETRY_MS)
    expect(most).toBeLessThanOrEqual(MIN_RETRY_MS + spreadMs)
    expect(most - least).toBeGreaterThan(0.8 * spreadMs)
    expect(new Set(retries).size).toBeGreaterThan(READERS / 10)
    expect(stopMs).toBeLessThan(MAX_STOP_MS)

    // Events that were acknowledged during the drain, too late for a stream, reach its reader when it returns.
    const again = await start(env, runtime)
    for (const { topics, path } of views) {
      const { stream } = readers.find((reader) => reader.path === path)!
      const late = [...sent.acknowledged].filter(([, topic]) => topics.includes(topic)).map(([id]) => id)
      const known = placed(stream)
      const back = new Stream(again.port, path, { lastEventId: stream.reader.lastEventId })
      await back.until(() => late.every((id) => known.includes(id) || placed(back).includes(id)))
      const all = [...known, ...placed(back)]
      expect(all, path).toEqual([...new Set(all)].sort(bySeq))
      expect(back.reader.control('gap')).toEqual([])
    }
  })

  test('sends a slow reader everything due before it ends its stream', { timeout: 120_000 }, async () => {
    const server = await start({ WINDOW_BYTES: '16MiB' }, runtime) // holds everything: a stream behind the window would end at once
    const slow = new Stream(server.port, '/event?topic=a')
    slow.socket.pause() // before it connects, so that it reads nothing until resumed
    await expect.poll(server.readers).toBe(1)
    const owed: string[] = []
    for (let i = 0; i < 200; i++) owed.push(await publish(server, 'a', 'x'.repeat(50_000))) // the kernel buffers less than half of this
    const stopped = server.kill('SIGTERM')
    await server.says(/SIGTERM: draining 1 streams/)
    slow.socket.resume()
    await slow.gone()
    expect(slow.ended).toBe(true)
    expect(placed(slow)).toEqual(owed)
    expect(slow.reader.text).toMatch(ENDING)
    expect(await stopped).toBe(0)
  })

  test('by SIGINT stops in time despite a reader that does not read, refuses connections, and answers a request under way', {
    timeout: 120_000,
  }, async () => {
    const server = await start({}, runtime)
    const deaf = new Stream(server.port, '/event?topic=a')
    deaf.socket.pause() // before it connects, so that it never reads a byte
    const reader = new Stream(server.port, '/event?topic=a')
    await expect.poll(server.readers).toBe(2)
    for (let i = 0; i < 160; i++) await publish(server, 'a', 'x'.repeat(50_000)) // more than the kernel buffers for one connection
    const asked = request('GET', '/event?topic=a')
    const onTheWay = new Stream(server.port, '', { sent: asked.slice(0, 40) })
    await once(onTheWay.socket, 'connect')
    await reader.until(() => reader.reader.data.length === 160)
    await server.readers() // one more round trip, so that the half request has been read

    const began = performance.now()
    const stopped = server.kill('SIGINT')
    await reader.gone()
    expect(reader.ended).toBe(true)
    expect(reader.reader.text).toMatch(ENDING)

    let told = ''
    onTheWay.socket.removeAllListeners('data').on('data', (bytes) => {
      told += bytes.toString('latin1')
    })
    onTheWay.socket.write(asked.slice(40))
    await onTheWay.gone()
    // Deno closes connections without a complete request at once; the client comes back as after any cut.
    if (runtime === deno) expect(told).toBe('')
    else {
      expect(told).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(told).toMatch(/content-type: text\/event-stream/i)
      expect(told).toMatch(/event: hub\.ending\ndata: \{\}\nretry: \d+\n\n/)
    }

    const late = connect(server.port, '127.0.0.1')
    const [error] = await once(late, 'error').catch((error: Error) => [error])
    // A connection that the kernel had accepted before the hub stopped listening is reset.
    expect(error).toMatchObject({ code: expect.stringMatching(/ECONNREFUSED|ECONNRESET/) })
    expect(server.child.exitCode, 'it still drains').toBeNull()
    expect(await stopped).toBe(0)
    const stopMs = performance.now() - began
    console.log(`${runtime.name}: SIGINT with a reader that does not read: exit 0 after ${Math.round(stopMs)} ms`)
    expect(stopMs).toBeLessThan(MAX_STOP_MS)
    expect(server.output).toContain('SIGINT: draining 2 streams')
  })
})

interface View {
  readonly path: string
  readonly topics: readonly string[]
  readonly stream: Stream
}

async function open({ port, readers }: Server, count: number): Promise<View[]> {
  const opened = Array.from({ length: count }, (_, i) => {
    const { path, topics } = views[i % views.length]!
    return { path, topics, stream: new Stream(port, path) }
  })
  await Promise.all(opened.map(({ stream }) => stream.until(() => stream.reader.events.length > 0)))
  expect(await readers()).toBe(count)
  return opened
}

/** Publishes to every topic until the server no longer answers, and keeps what was acknowledged. */
class Sent {
  /** The topic of each position. */
  readonly acknowledged = new Map<string, string>()
  readonly finished: Promise<unknown>

  constructor(server: Server) {
    this.finished = Promise.all(['$store', 'a', 'b'].map((topic) => this.#publish(server, topic)))
  }

  async #publish(server: Server, topic: string): Promise<void> {
    for (let i = 0; ; i++) {
      const id = await publish(server, topic, `${i}`).catch(() => undefined)
      if (id === undefined) return
      this.acknowledged.set(id, topic)
    }
  }
}

async function publish({ url }: Server, topic: string, data: string): Promise<string> {
  const answer = await fetch(topic === '$store' ? `${url}/send?message=${data}` : `${url}/send?topic=${topic}`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain' },
    ...(topic !== '$store' && { body: data }),
  })
  const { id } = (await answer.json()) as { id: string }
  expect(answer.status).toBe(200)
  return id
}

/** The ids of the received entries, without control frames, repeats and the default message. */
function placed({ reader }: Stream): string[] {
  return reader.events
    .filter(({ event, id }) => id !== undefined && !id.endsWith('-0') && !event?.startsWith('hub.'))
    .map(({ id }) => id!)
}

function bySeq(a: string, b: string): number {
  return seqOf(a) - seqOf(b)
}

function seqOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('-') + 1))
}
