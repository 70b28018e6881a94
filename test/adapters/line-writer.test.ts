import { beforeEach, expect, test, vi } from 'vitest'
import { LineWriter, type Sink } from '../../src/adapters/line-writer.ts'

/** A sink that takes `room` more bytes, and fails while `error` is set. */
class TestSink implements Sink {
  room = Number.POSITIVE_INFINITY
  error: Error | undefined
  text = ''
  calls = 0

  write(bytes: Uint8Array): number {
    this.calls++
    if (this.error) throw this.error
    const taken = Math.min(this.room, bytes.length)
    this.room -= taken
    this.text += new TextDecoder().decode(bytes.subarray(0, taken))
    return taken
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1)
  }
}

let sink: TestSink
let writer: LineWriter

beforeEach(() => {
  vi.useFakeTimers()
  sink = new TestSink()
  writer = new LineWriter(
    () => sink,
    (count) => `dropped ${count}`,
  )
  return () => vi.useRealTimers()
})

test('writes a line at once while there is room', () => {
  writer.write('one')
  expect(sink.text).toBe('one\n')
})

test('writes waiting lines once there is room, in order and whole', () => {
  sink.room = 2
  for (const line of ['one', 'two', 'three']) writer.write(line)
  expect(sink.text).toBe('on')
  sink.room = 3
  vi.advanceTimersByTime(10)
  expect(sink.text).toBe('one\nt')
  sink.room = 1000
  vi.advanceTimersByTime(1000)
  expect(sink.lines).toEqual(['one', 'two', 'three'])
})

test('keeps at most 256 KiB of lines waiting, and writes one line with the number of dropped lines', () => {
  sink.room = 0
  const line = 'x'.repeat(1023)
  for (let i = 0; i < 1000; i++) writer.write(line)
  sink.room = Number.POSITIVE_INFINITY
  vi.advanceTimersByTime(1000)
  const written = sink.lines.filter((text) => text === line).length
  expect(written * 1024).toBeLessThanOrEqual(260 * 1024)
  expect(sink.lines.slice(written)).toEqual([`dropped ${1000 - written}`])
  writer.write('after')
  expect(sink.lines.at(-1)).toBe('after')
})

test('drops lines while the sink fails, tries the sink once a second, and writes the number of dropped lines when it works again', () => {
  sink.error = new Error('EPIPE')
  for (let i = 0; i < 5000; i++) writer.write(`${i}`)
  expect(sink.calls).toBe(1)
  vi.advanceTimersByTime(3500)
  expect(sink.calls).toBe(4)
  sink.error = undefined
  vi.advanceTimersByTime(1000)
  writer.write('after')
  expect(sink.lines).toEqual(['dropped 5000', 'after'])
})

test('begins a new line after a line that was written only in part', () => {
  sink.room = 2
  writer.write('long')
  sink.error = new Error('ENOSPC')
  vi.advanceTimersByTime(10)
  sink.error = undefined
  sink.room = 1000
  vi.advanceTimersByTime(1000)
  expect(sink.text).toBe('lo\ndropped 1\n')
})

test('does not throw if its sink cannot be opened', () => {
  const closed = new LineWriter(
    () => {
      throw new Error('EBADF')
    },
    () => '',
  )
  expect(() => closed.write('one')).not.toThrow()
})

test('drain waits for room, but no longer than its time limit, and not at all if the sink fails', async () => {
  const ended = async (drained: Promise<void>, ms: number) => {
    let isOver = false
    drained.then(() => {
      isOver = true
    })
    await vi.advanceTimersByTimeAsync(ms)
    return isOver
  }
  sink.room = 0
  writer.write('one')
  expect(await ended(writer.drain(500), 490)).toBe(false)
  expect(await ended(writer.drain(500), 520)).toBe(true)
  sink.room = 100
  expect(await ended(writer.drain(500), 20)).toBe(true)
  expect(sink.lines).toEqual(['one'])
  sink.error = new Error('EPIPE')
  writer.write('two')
  expect(await ended(writer.drain(500), 0)).toBe(true)
})
