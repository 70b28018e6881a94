import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { runs } from '../seed.ts'
import { type Random, random } from '../server/random.ts'
import { bun, deno, node, portable, worker } from '../server/runtimes.ts'
import { cleanUp, fdsOf, rssOf, type Server, start, withoutProc } from '../server/server.ts'
import { request, Stream } from '../server/stream.ts'

const VISITS = runs(1000, 10_000)
const AT_ONCE = 50
const HEARTBEAT_MS = 500
/** Sockets that the test's own client may keep open for its next request. */
const SPARE_FDS = 10

const paths = ['/event', '/event?topic=a', '/event?topic=a&topic=b', '/event?topic=*', '/event?topic=a&repeat=1000']

const moments = {
  'before the request': () => {},
  'within the request': (stream) => once(stream.socket, 'connect'),
  'before the response': (stream) => once(stream.socket, 'ready'),
  'after the headers': (stream) => stream.until(() => stream.status > 0),
  'in the middle': (stream, numbers) => {
    const events = numbers.whole(1, 5)
    return stream.until(() => stream.reader.events.length >= events || stream.ended)
  },
} satisfies Record<string, (stream: Stream, numbers: Random) => unknown>

const endings = {
  destroy: (stream) => stream.socket.destroy(),
  'half-close': (stream) => stream.socket.end(),
  reset: (stream) => stream.socket.resetAndDestroy(),
} satisfies Record<string, (stream: Stream) => unknown>

/** By the first write to a closed socket workerd learns of the close, by the next write the hub does. */
const beatsUntilSeen = 3

/**
 * The lifetime ends streams of readers whose leaving goes unnoticed:
 * - workerd never notices a half-close while it answers (measured with 1.20261023.1);
 * - wrangler's proxy keeps an answer whose client left before the answer came, and goes on reading it (workerd itself does not).
 */
const LIFETIME_MS = 3000
const MAX_LIFETIME_MS = 1.2 * LIFETIME_MS + 500

/** Output that is not of the hub: wrangler prints each request. */
const chatter = /^(\[wrangler:info\] (GET|HEAD|POST) .*)?$/

afterEach(cleanUp)

describe.each(part([node], [bun, deno, worker, ...Object.values(portable)]))(
  'readers of $name that come and go',
  (runtime) => {
    test('leave nothing behind, whenever and however they disconnect', {
      timeout: runs(120_000, 600_000),
    }, async ({ skip }) => {
      skip(withoutProc !== '', withoutProc)
      const visits = runtime === worker ? VISITS / 4 : VISITS // wrangler is slow
      const LIFETIME = runtime === worker ? `${LIFETIME_MS}ms` : '1h'
      const server = await start({ HEARTBEAT: `${HEARTBEAT_MS}ms`, LIFETIME }, runtime)
      const numbers = random()
      let publishing = true
      const published = publisher(server, () => publishing)
      expect(await server.readers()).toBe(0)
      const before = { fds: fdsOf(server.serves), rss: rssOf(server.serves), output: server.output }

      let left = visits
      const gone = new Map<string, number>()
      const visitor = async () => {
        while (left-- > 0) {
          if (left % 10 === 0) await head(server, numbers.pick(paths))
          const moment = numbers.pick(Object.keys(moments) as (keyof typeof moments)[])
          const ending = numbers.pick(Object.keys(endings) as (keyof typeof endings)[])
          await visit(server, moment, ending, numbers)
          gone.set(`${ending} ${moment}`, (gone.get(`${ending} ${moment}`) ?? 0) + 1)
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, visitor))

      const began = performance.now()
      await expect.poll(server.readers, { timeout: 10_000, interval: 10 }).toBe(0)
      const emptyMs = performance.now() - began
      publishing = false
      await published
      // wrangler's proxy keeps as many connections as it once needed, each with two descriptors.
      const spareFds = SPARE_FDS + (runtime === worker ? 2 * AT_ONCE : 0)
      await expect.poll(() => fdsOf(server.serves), { timeout: 5000 }).toBeLessThanOrEqual(before.fds + spareFds)
      console.log(
        `${runtime.name}: ${visits} readers came and went in ${gone.size} ways: 0 left after ${Math.round(emptyMs)} ms, ` +
          `file descriptors ${before.fds} → ${fdsOf(server.serves)}, RSS ${mib(before.rss)} → ${mib(rssOf(server.serves))}`,
      )
      expect(emptyMs).toBeLessThan(runtime === worker ? MAX_LIFETIME_MS : 2 * HEARTBEAT_MS)
      expect(gone.size).toBe(Object.keys(moments).length * Object.keys(endings).length)
      expect(server.child.exitCode).toBeNull()
      const said = server.output.slice(before.output.length).split('\n')
      expect(said.filter((line) => !chatter.test(line))).toEqual([])
    })

    test('are noticed at once when they leave silent streams', async ({ skip }) => {
      skip(runtime === worker, 'workerd notices that a reader has gone only by writing to it')
      const server = await start({ HEARTBEAT: '1h', LIFETIME: '1h' }, runtime)
      const readers = await open(server, 90)
      for (const [i, reader] of readers.entries()) Object.values(endings)[i % 3]!(reader)
      await expect.poll(server.readers, { timeout: 1000, interval: 10 }).toBe(0)
      await Promise.all(readers.map((reader) => reader.gone()))
    })

    test('are noticed by heartbeats where nothing else notices them', async ({ skip }) => {
      skip(runtime !== worker, 'this runtime notices them at once')
      const server = await start({ HEARTBEAT: `${HEARTBEAT_MS}ms`, LIFETIME: '1h' }, runtime)
      const [destroyed, reset] = [await goneAfter(server, 'destroy'), await goneAfter(server, 'reset')]
      console.log(`${runtime.name}: destroyed readers are found after ${destroyed} ms, reset ones after ${reset} ms`)
      expect(Math.max(destroyed, reset)).toBeLessThan(beatsUntilSeen * HEARTBEAT_MS)
    })

    test('are ended by their lifetime if a half-close goes unnoticed', async () => {
      const server = await start({ HEARTBEAT: `${HEARTBEAT_MS}ms`, LIFETIME: `${LIFETIME_MS}ms` }, runtime)
      const halfClosed = await goneAfter(server, 'half-close')
      console.log(
        `${runtime.name}: half-closed readers are gone after ${halfClosed} ms, with a lifetime of ${LIFETIME_MS} ms`,
      )
      expect(halfClosed).toBeLessThan(MAX_LIFETIME_MS)
    })
  },
)

/** The time, in ms, until the server has noticed that readers of a silent topic have gone; waits until their sockets are closed. */
async function goneAfter(server: Server, ending: keyof typeof endings): Promise<number> {
  const readers = await open(server, 30)
  const began = performance.now()
  for (const reader of readers) endings[ending](reader)
  await expect.poll(server.readers, { timeout: 5000, interval: 10 }).toBe(0)
  const ms = Math.round(performance.now() - began)
  await Promise.all(readers.map((reader) => reader.gone()))
  return ms
}

/** Opens streams of a topic that nothing is published to. */
async function open(server: Server, count: number): Promise<Stream[]> {
  const streams = Array.from({ length: count }, () => new Stream(server.port, '/event?topic=quiet'))
  await Promise.all(streams.map((stream) => stream.until(() => stream.reader.events.length > 0)))
  expect(await server.readers()).toBe(count)
  return streams
}

async function visit(
  { port }: Server,
  moment: keyof typeof moments,
  ending: keyof typeof endings,
  numbers: Random,
): Promise<void> {
  const path = numbers.pick(paths)
  const asked = request('GET', path)
  const sent =
    moment === 'before the request'
      ? ''
      : moment === 'within the request'
        ? asked.slice(0, numbers.whole(1, asked.length - 1))
        : asked
  const stream = new Stream(port, path, { sent })
  await moments[moment](stream, numbers)
  endings[ending](stream)
  // After a half-close the server has to close the connection; nothing else shows that the server has noticed.
  await stream.gone()
}

/** Sends a HEAD. Hono runs the handler of GET for it, which must not subscribe. */
async function head({ port }: Server, path: string): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.end(request('HEAD', path).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
  let text = ''
  socket.setEncoding('latin1').on('data', (piece) => {
    text += piece
  })
  await once(socket, 'close')
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(text).toMatch(/content-type: text\/event-stream/i)
  expect(text.endsWith('\r\n\r\n')).toBe(true)
}

async function publisher({ url }: Server, goesOn: () => boolean): Promise<void> {
  for (let i = 0; goesOn(); i++) {
    const answer = await fetch(i % 4 === 0 ? `${url}/send?message=${i}` : `${url}/send?topic=${'ab'[i % 2]}`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      ...(i % 4 > 0 && { body: `${i}` }),
    })
    expect(answer.status).toBe(200)
    await answer.arrayBuffer()
  }
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`
}
