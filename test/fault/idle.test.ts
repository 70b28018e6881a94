import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { runs } from '../seed.ts'
import { bun, node, portable, runtimes, worker } from '../server/runtimes.ts'
import { cleanUp, type Server, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

/** Longer than the runtimes keep connections by themselves: Node 6 s, Bun 12 s. */
const SILENT_MS = runs(14_000, 70_000)
const FIRST_BYTES_MS = 500
const IDLE = 16
/** A request whose body never ends. */
const HALF =
  'POST /send?topic=slow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nx'

afterEach(cleanUp)

test(`silent streams and idle connections stay open for more than ${SILENT_MS} ms and take another request; those of slow bodies do not`, {
  timeout: SILENT_MS + 30_000,
}, async () => {
  const opened = await Promise.all(
    runtimes.map(async (runtime) => {
      const server = await start({ HEARTBEAT: '1h', LIFETIME: '1h', BODY_TIMEOUT: '1s' }, runtime)
      await server.readers()
      const began = performance.now()
      const stream = new Stream(server.port, '/event?topic=quiet')
      await stream.until(() => stream.reader.events.length > 0)
      const firstMs = Math.round(performance.now() - began)
      const idle = runtime === worker ? [] : await Promise.all(Array.from({ length: IDLE }, () => idleOn(server)))
      const slow = runtime === node || runtime === bun ? [new Stream(server.port, '', { sent: HALF })] : []
      return { runtime, server, stream, firstMs, text: stream.reader.text, idle, slow }
    }),
  )
  console.log(
    `first bytes after ${opened.map(({ runtime, firstMs }) => `${firstMs} ms on ${runtime.name}`).join(', ')}`,
  )
  await pause(SILENT_MS)
  for (const { runtime, server, stream, firstMs, text, idle, slow } of opened) {
    expect.soft(firstMs, runtime.name).toBeLessThan(FIRST_BYTES_MS)
    expect.soft(stream.closed, runtime.name).toBe(false)
    expect.soft(stream.reader.text, `${runtime.name}: nothing was said`).toBe(text)
    const statuses = await Promise.all(idle.map((connection) => connection.post()))
    expect.soft([runtime.name, statuses.filter((status) => status === 200).length]).toEqual([runtime.name, idle.length])
    for (const { status, closed } of slow)
      expect.soft([runtime.name, status, closed]).toEqual([runtime.name, 408, true])
    await fetch(`${server.url}/send?topic=quiet`, { method: 'POST', body: 'still there?' })
    await stream.reader.gets('still there?')
  }
})

test('KEEP_ALIVE bounds how long a connection stays open after an answer, or after a stream that has ended; not on Deno', async () => {
  const bounded = [node, bun, portable.node, portable.bun]
  const open = await Promise.all(
    bounded.map(async (runtime) => {
      const server = await start({ KEEP_ALIVE: '1s', LIFETIME: '1s', HEARTBEAT: '1h' }, runtime)
      const idle = await Promise.all(Array.from({ length: IDLE }, () => idleOn(server)))
      const ended = ['/event', '/event?topic=a'].map((path) => new Stream(server.port, path))
      for (const stream of ended) await stream.until(() => stream.ended)
      return { name: runtime.name, sockets: [...idle, ...ended].map(({ socket }) => socket) }
    }),
  )
  const left = () => open.map(({ name, sockets }) => [name, sockets.filter(({ destroyed }) => !destroyed).length])
  await expect.poll(left, { timeout: 12_000 }).toEqual(bounded.map(({ name }) => [name, 0]))
})

/** A connection that has got an answer, and sends nothing more until told. */
async function idleOn({ port }: Server) {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}) // a closed connection answers with status 0
  await ask(socket, 'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
  const head =
    'POST /send?topic=idle HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n'
  return { socket, post: () => ask(socket, `${head}x`) }
}

/** Sends a request; resolves with the status of the answer, or with 0 if the connection is closed without one. */
async function ask(socket: Socket, sent: string): Promise<number> {
  if (socket.destroyed) return 0
  socket.write(sent)
  const [bytes] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [''])])
  return Number(/^HTTP\/1\.1 (\d+)/.exec(String(bytes))?.[1] ?? 0)
}
