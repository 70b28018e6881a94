import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { runs } from '../../src/runs/near.ts'
import { bytesOf, chunksOf } from '../../src/runs/parts.ts'
import type { Ending, Run, RunMessage } from '../../src/runs/run.ts'
import { ChunkWriter, detailOf } from '../../src/runs/writer.ts'
import { seed } from '../seed.ts'

/** A run that notes what is published, and fails while `errors` has errors. */
class Noted implements Pick<Run, 'publish' | 'end'> {
  readonly batches: (readonly RunMessage[])[] = []
  readonly keys: (string | undefined)[] = []
  readonly errors: unknown[] = []
  ending: Ending | undefined
  /** Publishes wait for this. */
  held: Promise<void> | undefined

  /** Holds publishes back. @returns a function that lets them go on */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.held = promise
    return resolve
  }

  publish(message: RunMessage): Promise<never>
  publish(messages: readonly RunMessage[]): Promise<never>
  async publish(given: RunMessage | readonly RunMessage[]): Promise<never> {
    const messages = [given].flat() as readonly RunMessage[]
    this.keys.push(...messages.map(({ key }) => key))
    await this.held
    if (this.errors.length > 0) throw this.errors.shift()
    this.batches.push(messages.map(({ key, ...rest }) => rest))
    return undefined as never
  }

  async end(ending: Ending): Promise<never> {
    this.keys.push(ending.key)
    if (this.errors.length > 0) throw this.errors.shift()
    this.ending = ending
    return undefined as never
  }

  get data() {
    const [introduction, ...chunks] = this.batches.flat()
    if (introduction) expect(introduction).toEqual({ event: 'id', data: '"x"' })
    return chunks.map(({ data }) => data)
  }
}

const unavailable = () => new AppError('log_unavailable', 'Cannot publish now')
let run: Noted

beforeEach(() => {
  vi.useFakeTimers()
  run = new Noted()
})
afterEach(() => {
  vi.useRealTimers()
})

test('each chunk is an entry by default; those that wait for the hub go together', async () => {
  const writer = new ChunkWriter(run, 'x')
  const goOn = run.hold()
  await writer.write('a')
  await vi.advanceTimersByTimeAsync(0)
  await writer.write('b')
  await writer.write('c')
  goOn()
  await writer.end({ outcome: 'stopped' })
  expect(run.batches).toEqual([
    [{ event: 'id', data: '"x"' }, { data: '["a"]' }],
    [{ data: '["b"]' }, { data: '["c"]' }],
  ])
  expect(run.ending).toMatchObject({ outcome: 'stopped' })
  expect(vi.getTimerCount()).toBe(0)
})

test('chunks are joined by count', async () => {
  const writer = new ChunkWriter(run, 'x', { count: 2 })
  for (const chunk of ['a', 'b', 'c']) await writer.write(chunk)
  await vi.advanceTimersByTimeAsync(0)
  expect(run.data).toEqual(['["a","b"]'])
  await writer.flush()
  expect(run.data).toEqual(['["a","b"]', '["c"]'])
})

test('chunks are joined by time', async () => {
  const writer = new ChunkWriter(run, 'x', { count: 10, ms: 50 })
  await writer.write('a')
  await vi.advanceTimersByTimeAsync(49)
  await writer.write('b')
  expect(run.data).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(run.data).toEqual(['["a","b"]'])
  await writer.write('c')
  await vi.advanceTimersByTimeAsync(50)
  expect(run.data).toEqual(['["a","b"]', '["c"]'])
})

test('chunks are joined by bytes, and a longer chunk is split', async () => {
  const writer = new ChunkWriter(run, 'x', { count: 10, bytes: bytesOf('xxxx') * 2 })
  for (const chunk of ['xxxx', 'xxxx', 'yyyy', 'z'.repeat(20), 'w']) await writer.write(chunk)
  await writer.flush()
  expect(run.data).toEqual([
    '["xxxx","xxxx"]',
    '["yyyy"]',
    '{"i":0,"n":2,"text":"zzzzzzzzzz"}',
    '{"i":1,"n":2,"text":"zzzzzzzzzz"}',
    '["w"]',
  ])
})

test('a stream without chunks is introduced too', async () => {
  await new ChunkWriter(run, 'x').end()
  expect(run.batches).toEqual([[{ event: 'id', data: '"x"' }]])
})

test('what waits for the hub is bounded', async () => {
  const goOn = run.hold()
  const writer = new ChunkWriter(run, 'x')
  let written = 0
  const writing = (async () => {
    for (; written < 100; written++) await writer.write('x'.repeat(40_000))
  })()
  await vi.advanceTimersByTimeAsync(1000)
  expect(written).toBeLessThan(30)
  goOn()
  await writing
  await writer.flush()
  expect(run.data).toHaveLength(100)
  for (const batch of run.batches.slice(1)) expect(batch).toHaveLength(1)
})

test('while the hub is unavailable the same messages are sent again under the same keys', async () => {
  run.errors.push(unavailable(), new AppError('outcome_unknown', 'Nobody knows'))
  const writer = new ChunkWriter(run, 'x')
  await writer.write('a')
  await vi.advanceTimersByTimeAsync(1000)
  await writer.flush()
  expect(run.data).toEqual(['["a"]'])
  run.errors.push(unavailable())
  const ended = writer.end()
  await vi.advanceTimersByTimeAsync(1000)
  await ended
  const [first, second] = run.keys
  const end = run.keys.at(-1)
  expect(run.keys).toEqual([...[first, second, first, second, first, second], ...[end, end]])
  expect(new Set(run.keys).size).toBe(3)
})

test('nothing is sent again once the run is lost, and nothing follows a chunk that is missing', async () => {
  run.errors.push(new AppError('run_lost', 'Another producer has claimed the topic'))
  const writer = new ChunkWriter(run, 'x', { count: 2 })
  await writer.write('a')
  await writer.write('b')
  await expect(writer.flush()).rejects.toMatchObject({ code: 'run_lost' })
  await expect(writer.write('c')).rejects.toMatchObject({ code: 'run_lost' })
  await expect(writer.end()).rejects.toMatchObject({ code: 'run_lost' })
  expect(run.data).toEqual([])
})

test('a failed run ends with its reason, also if its chunks are refused', async () => {
  run.errors.push(new AppError('event_too_large', 'Cannot publish'))
  const writer = new ChunkWriter(run, 'x')
  await writer.write('a')
  await writer.fail('why')
  expect(run.ending).toMatchObject({ outcome: 'failed', detail: 'why' })
})

test('a detail is cut to 1,000 bytes of well-formed text without NUL', () => {
  expect(detailOf('a\0b\ud83d')).toBe('ab\ufffd')
  const holds = (text: string) => {
    const detail = detailOf(text)
    expect(Buffer.byteLength(detail)).toBeLessThanOrEqual(1000)
    expect(detail.isWellFormed()).toBe(true)
    if (Buffer.byteLength(text) <= 1000 && !text.includes('\0')) expect(detail).toBe(text.toWellFormed())
  }
  const text = fc
    .array(fc.constantFrom('a', '\0', '\ud83d', '\u{1f600}'.repeat(100), 'x'.repeat(399)))
    .map((all) => all.join(''))
  fc.assert(fc.property(text, holds), { seed, numRuns: 100 })
})

test('a reader of a hub gets the chunks that were written', async () => {
  vi.useRealTimers()
  const hub = new Hub(memoryLog)
  const options = fc.record({ count: fc.integer({ min: 1, max: 4 }), bytes: fc.integer({ min: 20, max: 60 }) })
  const chunks = fc.array(fc.constantFrom('a', 'hello', '\r\n', '"'.repeat(20), '\ud83d', ''), { maxLength: 10 })
  let topics = 0
  await fc.assert(
    fc.asyncProperty(chunks, options, async (given, joined) => {
      const topic = `t/${topics++}`
      const writer = new ChunkWriter(await runs(hub).claim(topic), 'x', { ...joined, ms: 1 })
      for (const chunk of given) await writer.write(chunk)
      await writer.end()
      const pieces = await Array.fromAsync(chunksOf(runs(hub), topic))
      expect(pieces.flatMap((piece) => (piece.kind === 'chunk' ? [piece.chunk] : []))).toEqual(given)
      expect(pieces.at(-1)).toEqual({ kind: 'end', outcome: 'done' })
    }),
    { seed, numRuns: 100 },
  )
  await hub.close()
})
