import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { serve } from '../../src/adapters/node.ts'
import { parseConfig } from '../../src/config/config.ts'
import { store } from '../../src/store.ts'
import { Stream } from '../server/stream.ts'

const EVENT = 'x'.repeat(50_000)
/** At least the size of the frame of `EVENT`. Each frame is a chunk by itself, because two frames exceed the size of a chunk. */
const FRAME = EVENT.length + 100

let server: Awaited<ReturnType<typeof serve>>

beforeAll(async () => {
  const settings = { PORT: '0', LOG: 'memory:', WINDOW_BYTES: '32MiB', WARM_UP: 'false', HEARTBEAT: '1h' }
  server = await serve(parseConfig(settings))
})
afterAll(() => server.stop())

function open(path: string): Stream {
  const stream = new Stream(Number(new URL(server.url).port), path)
  onTestFinished(() => void stream.socket.destroy())
  return stream
}

test('Node writes the very same bytes to all readers of a chunk: it is framed once', async () => {
  const readers = Array.from({ length: 8 }, () => open('/event?topic=shared'))
  for (const stream of readers) await stream.until(() => stream.reader.control('open').length === 1)
  const write = vi.spyOn(Socket.prototype, 'write')
  onTestFinished(() => write.mockRestore())
  await store.publish([{ topic: 'shared', data: 'for all' }])
  for (const stream of readers) await stream.until(() => stream.reader.data.length === 1)
  const written = write.mock.calls.map(([bytes]) => bytes).filter((bytes) => `${bytes}`.includes('data: for all'))
  expect([written.length, new Set(written).size]).toEqual([readers.length, 1])
})

test('Node holds one chunk for a reader that does not read, and pulls the next once the kernel has taken it', async () => {
  const sockets: Socket[] = []
  const note = (told: unknown) => void sockets.push((told as { socket: Socket }).socket)
  subscribe('net.server.socket', note)
  onTestFinished(() => void unsubscribe('net.server.socket', note))
  for (let i = 0; i < 200; i++) await store.publish([{ topic: 'a', data: EVENT }]) // the kernel buffers less than half of these bytes

  const slow = open('/event?topic=a&from=earliest')
  slow.socket.pause() // before the socket connects
  await expect.poll(() => sockets[0]?.writableLength).toBeGreaterThan(0)
  await pause(100) // time for Node to see everything that the kernel has taken
  expect(sockets[0]!.writableLength).toBeLessThan(FRAME)

  slow.socket.resume()
  await slow.until(() => slow.reader.data.length === 200)

  // A reader that was live gets all chunks of a batch in one turn, in which Node reports none of them as taken.
  slow.socket.pause()
  await store.publish(Array.from({ length: 500 }, () => ({ topic: 'a', data: EVENT })))
  await expect.poll(() => sockets[0]?.writableLength).toBeGreaterThan(0)
  await pause(100)
  expect(sockets[0]!.writableLength).toBeLessThan(FRAME)
  slow.socket.resume()
  await slow.until(() => slow.reader.data.length === 700)
})
