import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { runs } from '../seed.ts'
import { type Random, random } from '../server/random.ts'
import { cleanUp, fdsOf, rssOf, type Server, start, withoutProc } from '../server/server.ts'
import { request, Stream } from '../server/stream.ts'

const VISITS = runs(1000, 10_000)
const AT_ONCE = 50
const HEARTBEAT_MS = 500
/** Sockets that the client of this test may keep open besides, for its next request. */
const SPARE_FDS = 10

const paths = ['/event', '/event?topic=a', '/event?topic=a&topic=b', '/event?topic=*', '/event?topic=a&repeat=1000']

const moments = {
  'before the request': () => {},
  'within the request': (stream) => once(stream.socket, 'connect'),
  'before the response': (stream) => once(stream.socket, 'ready'),
  'after the headers': (stream) => stream.until(() => stream.status > 0),
  'in the middle': (stream, numbers) => {
    const events = numbers.whole(1, 5)
    return stream.until(() => stream.reader.events.length >= events)
  },
} satisfies Record<string, (stream: Stream, numbers: Random) => unknown>

const endings = {
  destroy: (stream) => stream.socket.destroy(),
  'half-close': (stream) => stream.socket.end(),
  reset: (stream) => stream.socket.resetAndDestroy(),
} satisfies Record<string, (stream: Stream) => unknown>

afterEach(cleanUp)

describe.skipIf(withoutProc)(`readers that come and go (${withoutProc || 'file descriptors from /proc'})`, () => {
  test('leave nothing behind, at whatever moment and however they go', { timeout: runs(30_000, 180_000) }, async () => {
    const server = await start({ HEARTBEAT: `${HEARTBEAT_MS}ms` })
    const numbers = random()
    let publishing = true
    const published = publisher(server, () => publishing)
    expect(await server.readers()).toBe(0)
    const before = { fds: fdsOf(server.pid), rss: rssOf(server.pid) }

    let left = VISITS
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
    await expect.poll(() => fdsOf(server.pid), { timeout: 5000 }).toBeLessThanOrEqual(before.fds + SPARE_FDS)
    console.log(
      `${VISITS} readers came and went in ${gone.size} ways: 0 left after ${Math.round(emptyMs)} ms, ` +
        `file descriptors ${before.fds} → ${fdsOf(server.pid)}, RSS ${mib(before.rss)} → ${mib(rssOf(server.pid))}`,
    )
    expect(emptyMs).toBeLessThan(2 * HEARTBEAT_MS)
    expect(gone.size).toBe(Object.keys(moments).length * Object.keys(endings).length)
    expect(server.child.exitCode).toBeNull()
    expect(server.output.split('\n'), 'nothing but the boot line').toHaveLength(2)
  })

  test('are known to have gone at once, although nothing is said to them', async () => {
    const server = await start({ HEARTBEAT: '1h', LIFETIME: '1h' })
    const readers = Array.from({ length: 90 }, () => new Stream(server.port, '/event?topic=quiet'))
    await Promise.all(readers.map((reader) => reader.until(() => reader.reader.events.length > 0)))
    expect(await server.readers()).toBe(90)
    for (const [i, reader] of readers.entries()) Object.values(endings)[i % 3]!(reader)
    await expect.poll(server.readers, { timeout: 1000, interval: 10 }).toBe(0)
    await Promise.all(readers.map((reader) => reader.gone()))
  })
})

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
  // After a half-close it is the server's turn; nothing else tells it that this reader has gone.
  await stream.gone()
}

/** Hono runs GET's handler for HEAD: it must not subscribe. */
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
