import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Hono } from 'hono'
import { expect, onTestFinished, test, vi } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { readBytes, withTimeout } from '../../src/routes/bytes.ts'
import { ChunkBuffer } from '../../src/routes/chunks.ts'
import { nextTurn } from '../../src/turn.ts'

const BODIES = 200

test('bodies that time out together are refused in separate turns of the event loop', async () => {
  let refused = 0
  const late = () => new AppError('body_too_slow', 'Cannot wait for more')
  for (let i = 0; i < BODIES; i++) {
    withTimeout(new Promise<never>(() => {}), 5, late).catch(() => {
      refused++
    })
  }
  let most = 0
  while (refused < BODIES) {
    const before = refused
    await nextTurn()
    most = Math.max(most, refused - before)
  }
  expect(most).toBeLessThanOrEqual(2) // one or two refusals fit between two checks
})

test.each([
  [10, 'a body of 10 bytes'],
  [11, 'body_too_large'],
])('of a body of %i bytes whose length is not declared and may be 10, the hub reads %s', async (length, result) => {
  const app = new Hono().post('/', async (c) => {
    const limits = { maxBodyBytes: 10, bodyTimeoutMs: 1000 }
    return readBytes(c, limits).then(
      (bytes) => c.text(`a body of ${bytes.length} bytes`),
      (error: AppError) => c.text(error.code),
    )
  })
  const body = new Blob([new Uint8Array(length)]).stream()
  const response = await app.request('/', { method: 'POST', body, duplex: 'half' } as RequestInit)
  expect(await response.text()).toBe(result)
})

test('a million single bytes are kept completely and in order', () => {
  const pieces = new ChunkBuffer()
  for (let i = 0; i < 1_000_000; i++) {
    pieces.push(Uint8Array.of(i % 251))
    if (i % 65_536 === 65_535) expect(pieces.take()).toHaveLength(65_536)
  }
  const rest = pieces.take()
  expect(rest).toEqual(Uint8Array.from({ length: rest.length }, (_, i) => (i + 1_000_000 - rest.length) % 251))
})

test('pieces of one byte are merged, and their buffers are released', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const pieces = new ChunkBuffer()
  const first = new WeakRef(new ArrayBuffer(1024))
  pieces.push(new Uint8Array(first.deref()!, 0, 1))
  for (let i = 0; i < 1000; i++) pieces.push(Uint8Array.of(0))
  await nextTurn() // a WeakRef keeps its target until the end of the turn
  collect()
  expect(first.deref()).toBeUndefined()
  expect(pieces.take()).toHaveLength(1001)
})

test.each([
  ['packets', 1460, 50_000, 2.1],
  ['hundreds of bytes', 100, 50_000, 12],
])('bytes that arrive in %s are copied only a few times', (_, size, count, times) => {
  const copies = vi.spyOn(Uint8Array.prototype, 'set')
  onTestFinished(() => copies.mockRestore())
  const pieces = new ChunkBuffer()
  const piece = new Uint8Array(size)
  for (let i = 0; i < count; i++) pieces.push(piece)
  expect(pieces.take()).toHaveLength(size * count)
  const copied = copies.mock.calls.reduce((sum, [bytes]) => sum + bytes.length, 0)
  expect(copied).toBeLessThan(times * size * count)
})

test('a chunk that is a small part of a larger buffer does not keep that buffer in memory', () => {
  const pieces = new ChunkBuffer()
  pieces.push(new Uint8Array(64 * 1024).subarray(7, 17))
  expect(pieces.take().buffer.byteLength).toBe(10)
})
