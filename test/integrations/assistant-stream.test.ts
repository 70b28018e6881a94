import { AssistantMessageAccumulator, DataStreamDecoder } from 'assistant-stream'
import {
  createInMemoryResumableStreamStore,
  createResumableAssistantStreamResponse,
  createResumableStreamContext,
  createResumeAssistantStreamResponse,
  type ResumableStreamStore,
} from 'assistant-stream/resumable'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createAssistantStreamStore, ResumableStreamError } from '../../src/integrations/assistant-stream.ts'
import { runs } from '../../src/runs/near.ts'
import { chunksOf } from '../../src/runs/parts.ts'
import { topicOf } from '../../src/runs/topics.ts'
import { seed } from '../seed.ts'
import { hubs, type OpenHub } from './hubs.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk)
const forever = new AbortController().signal

/** Reads until the stream ends or fails. */
async function until(
  store: ResumableStreamStore,
  { id = 'a', cursor = '', signal = forever } = {},
): Promise<{ seen: string[]; error?: unknown }> {
  const seen: string[] = []
  try {
    for await (const { chunk } of store.read(id, cursor, signal)) seen.push(text(chunk))
    return { seen }
  } catch (error) {
    return { seen, error }
  }
}

async function lease(store: ResumableStreamStore, id = 'a') {
  const acquisition = await store.acquireLease!(id)
  if (acquisition.role !== 'producer') throw new Error('Somebody else is the producer')
  return acquisition.lease
}

/** A source that the test writes. */
function source() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({}, undefined, { highWaterMark: 100 })
  const writer = writable.getWriter()
  const cancelled = writer.closed.then(
    () => undefined,
    (reason) => reason,
  )
  return {
    make: () => readable,
    write: (...chunks: string[]) => {
      for (const chunk of chunks) void writer.write(bytes(chunk)).catch(() => {})
    },
    close: () => void writer.close().catch(() => {}),
    fail: (error: unknown) => void writer.abort(error),
    cancelled,
  }
}

type Opened = { readonly store: ResumableStreamStore; close(): Promise<void> }

const overHub = (open: () => OpenHub) => (): Opened => {
  const { runs, close } = open()
  return { store: createAssistantStreamStore({ runs }), close }
}

/** The store of the package itself shows that the cases are what the package expects. */
const all: Readonly<Record<string, () => Opened>> = {
  "the package's store": () => ({ store: createInMemoryResumableStreamStore(), close: async () => {} }),
  ...Object.fromEntries(Object.entries(hubs).map(([name, open]) => [name, overHub(open)])),
}

describe.each(Object.entries(all))('a store of resumable streams, over %s', (_, open) => {
  let store: ResumableStreamStore
  let close: () => Promise<void>

  beforeEach(() => {
    ;({ store, close } = open())
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    await close()
  })

  test('the first caller is the producer of a stream, all others are consumers', async () => {
    expect(await store.acquire('a')).toBe('producer')
    expect(await store.acquire('a')).toBe('consumer')
    expect(await store.acquireLease!('a')).toEqual({ role: 'consumer' })
    expect(await store.acquireLease!('b')).toEqual({ role: 'producer', lease: { token: expect.any(String) } })
    await store.finalize('a', 'done')
    expect(await store.acquire('a')).toBe('consumer')
    expect((await Promise.all(Array.from({ length: 5 }, () => store.acquire('c')))).sort()).toEqual([
      ...Array(4).fill('consumer'),
      'producer',
    ])
  })

  test('a reader gets what there is, then what comes, until the stream is final', async () => {
    await store.acquire('a')
    await store.append('a', bytes('1'))
    const [first, second] = [until(store), until(store)]
    await store.append('a', bytes('2'))
    await store.append('a', bytes('3'))
    await store.finalize('a', 'done')
    expect([await first, await second, await until(store)]).toEqual(Array(3).fill({ seen: ['1', '2', '3'] }))
  })

  test('the status says what became of the stream', async () => {
    expect(await store.status('a')).toBe('missing')
    await store.acquire('a')
    expect(await store.status('a')).toBe('streaming')
    await store.finalize('a', 'done')
    expect(await store.status('a')).toBe('done')
    await store.acquire('b')
    await store.finalize('b', 'error', 'boom')
    expect(await store.status('b')).toBe('error')
  })

  test.each([
    ['boom', 'boom'],
    [undefined, 'Stream errored'],
  ])('a stream that is final with the error %s throws after its last chunk', async (error, message) => {
    await store.acquire('a')
    await store.append('a', bytes('1'))
    const waiting = until(store)
    await store.finalize('a', 'error', error)
    for (const reader of [waiting, until(store)])
      expect(await reader).toEqual({ seen: ['1'], error: expect.objectContaining({ message }) })
  })

  test('a reader goes on strictly after a cursor', async () => {
    await store.acquire('a')
    for (const chunk of ['1', '2', '3']) await store.append('a', bytes(chunk))
    await store.finalize('a', 'done')
    const cursors: string[] = []
    for await (const { cursor } of store.read('a', '', forever)) cursors.push(cursor)
    expect(new Set(cursors).size).toBe(3)
    const rests = await Promise.all(cursors.map(async (cursor) => (await until(store, { cursor })).seen))
    expect(rests).toEqual([['2', '3'], ['3'], []])
  })

  test('a reader who aborts ends without an error, also after the last chunk before one', async () => {
    await store.acquire('a')
    const control = new AbortController()
    const waiting = until(store, { signal: control.signal })
    control.abort()
    expect(await waiting).toEqual({ seen: [] })
    await store.append('a', bytes('1'))
    await store.finalize('a', 'error', 'boom')
    const other = new AbortController()
    for await (const _ of store.read('a', '', other.signal)) other.abort()
  })

  test('the bytes are those at the call, whatever the caller and readers do with them later', async () => {
    await store.acquire('a')
    const chunk = bytes('x')
    const appended = store.append('a', chunk)
    chunk[0] = 0
    await appended
    await store.finalize('a', 'done')
    for await (const { chunk } of store.read('a', '', forever)) chunk[0] = 0
    expect(await until(store)).toEqual({ seen: ['x'] })
  })

  test('all bytes are kept, also halves of characters', async () => {
    let streams = 0
    const chunks = fc.array(fc.uint8Array({ maxLength: 10 }), { maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(chunks, async (given) => {
        const id = `s${streams++}`
        await store.acquire(id)
        for (const chunk of given) await store.append(id, chunk)
        await store.finalize(id, 'done')
        const read: Uint8Array[] = []
        for await (const { chunk } of store.read(id, '', forever)) read.push(chunk)
        expect(read.map((chunk) => [...chunk])).toEqual(given.map((chunk) => [...chunk]))
      }),
      { seed, numRuns: 10 },
    )
  })

  test('a stream that is final takes nothing more, and is final once', async () => {
    const held = await lease(store)
    expect(await store.finalize('a', 'done', undefined, held)).toBe(true)
    expect(await store.finalize('a', 'error', 'boom', held)).toBe(false)
    expect(await store.finalize('a', 'done')).toBe(false)
    for (const given of [held, undefined])
      await expect(store.append('a', bytes('late'), given)).rejects.toMatchObject({
        code: 'finalized',
        message: 'Stream already finalized: a',
      })
    expect(await until(store)).toEqual({ seen: [] })
  })

  test('a stream that does not exist is not found', async () => {
    await expect(store.append('a', bytes('x'))).rejects.toThrow('Stream not found: a')
    await expect(store.append('a', bytes('x'), { token: 't' })).rejects.toThrow('Stream not found: a')
    await expect(store.finalize('a', 'done')).rejects.toThrow('Stream not found: a')
    expect((await until(store)).error).toMatchObject({ message: 'Stream not found: a' })
    await store.delete('a')
  })

  test('a delete ends readers, and the stream can be acquired anew', async () => {
    const held = await lease(store)
    await store.append('a', bytes('1'), held)
    const other = await lease(store, 'b')
    const readers = [until(store), until(store, { id: 'b' })]
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate) // until both wait
    await store.delete('a')
    await store.delete('b')
    expect(await Promise.all(readers)).toEqual([{ seen: ['1'] }, { seen: [] }])
    expect([await store.status('a'), await store.status('b')]).toEqual(['missing', 'missing'])
    await expect(store.append('b', bytes('x'), other)).rejects.toThrow('Stream not found: b')
    expect(await store.acquire('a')).toBe('producer')
    await store.append('a', bytes('2'))
    await store.finalize('a', 'done')
    expect(await until(store)).toEqual({ seen: ['2'] })
  })

  test('a superseded producer appends nothing and finalizes nothing', async () => {
    const first = await lease(store)
    await store.append('a', bytes('old'), first)
    await store.delete('a')
    const second = await lease(store)
    const superseded = { code: 'missing', message: 'Stream superseded by a new acquisition: a' }
    await store.append('a', bytes('new'), second)
    await expect(store.append('a', bytes('stale'), first)).rejects.toMatchObject(superseded)
    expect(await store.finalize('a', 'done', undefined, first)).toBe(false)
    expect(await store.status('a')).toBe('streaming')
    expect(await store.finalize('a', 'done', undefined, second)).toBe(true)
    expect(await store.finalize('a', 'done', undefined, second)).toBe(false)
    await expect(store.append('a', bytes('late'), first)).rejects.toMatchObject(superseded)
    expect(await until(store)).toEqual({ seen: ['new'] })
    await store.delete('a')
    await expect(store.finalize('a', 'done', undefined, second)).rejects.toThrow('Stream not found: a')
  })

  test('a producer that was final before it was superseded is superseded', async () => {
    const first = await lease(store)
    await store.finalize('a', 'done', undefined, first)
    await store.delete('a')
    await lease(store)
    await expect(store.append('a', bytes('x'), first)).rejects.toMatchObject({ code: 'missing' })
  })

  test.each(['', 'a b', 'a/b', 'ü', 'x'.repeat(257)])('refuses the id %j', async (id) => {
    const refused = {
      name: 'ResumableStreamError',
      code: 'invalid-id',
      message: expect.stringContaining('Invalid streamId'),
    }
    for (const call of [
      () => store.acquire(id),
      () => store.acquireLease!(id),
      () => store.append(id, bytes('x')),
      () => store.finalize(id, 'done'),
      () => store.status(id),
      () => store.delete(id),
    ])
      await expect(call()).rejects.toMatchObject(refused)
    expect((await until(store, { id })).error).toMatchObject(refused)
  })

  test('every valid id is a stream of its own', async () => {
    const ids = ['a', 'A', '.', '..', ':-_', 'x'.repeat(256), `${'x'.repeat(255)}y`]
    for (const id of ids) {
      expect(await store.acquire(id)).toBe('producer')
      await store.append(id, bytes(id))
      await store.finalize(id, 'done')
    }
    for (const id of ids) expect(await until(store, { id })).toEqual({ seen: [id] })
  })

  describe("in the package's context", () => {
    const calls = () => ({
      onAcquire: vi.fn(),
      onAppend: vi.fn(),
      onFinalize: vi.fn(),
      onError: vi.fn(),
      tasks: [] as Promise<unknown>[],
    })
    const make = (to = calls()) =>
      createResumableStreamContext({ store, ...to, waitUntil: (task) => void to.tasks.push(task) })
    const all = async (stream: ReadableStream<Uint8Array> | null) => {
      let whole = ''
      const decoder = new TextDecoder()
      for await (const chunk of stream!) whole += decoder.decode(chunk, { stream: true })
      return whole
    }

    test('the producer, a consumer and one who resumes get the same bytes', async () => {
      const to = calls()
      const context = make(to)
      expect(await context.resume('a')).toBeNull()
      await expect(context.requireResume('a')).rejects.toMatchObject({ code: 'missing' })
      const { make: makeStream, write, close } = source()
      const streams = [await context.run('a', makeStream), await context.run('a', makeStream)]
      write('1', '😀')
      streams.push(await context.requireResume('a'))
      close()
      expect(await Promise.all(streams.map(all))).toEqual(['1😀', '1😀', '1😀'])
      expect(await all(await context.resume('a'))).toBe('1😀')
      expect(to.onAcquire.mock.calls).toEqual([
        ['a', 'producer'],
        ['a', 'consumer'],
      ])
      expect(to.onAppend.mock.calls).toEqual([
        ['a', 1],
        ['a', 4],
      ])
      await to.tasks[0]
      expect(to.onFinalize.mock.calls).toEqual([['a', 'done']])
      expect(to.onError).not.toHaveBeenCalled()
    })

    test('a producer goes on although its reader leaves', async () => {
      const to = calls()
      const context = make(to)
      const { make: makeStream, write, close } = source()
      const stream = await context.run('a', makeStream)
      write('1')
      await stream.cancel()
      write('2')
      close()
      await to.tasks[0]
      expect(await all(await context.resume('a'))).toBe('12')
    })

    test('the error of a source reaches every reader', async () => {
      vi.spyOn(console, 'error').mockReturnValue() // the package reports that it cannot cancel a source that has failed
      const to = calls()
      const context = make(to)
      const { make: makeStream, write, fail } = source()
      const stream = await context.run('a', makeStream)
      const reader = stream.getReader()
      write('1')
      expect(text((await reader.read()).value!)).toBe('1')
      fail(new Error('boom'))
      await expect(reader.read()).rejects.toThrow('boom')
      await to.tasks[0]
      expect(to.onFinalize.mock.calls).toEqual([['a', 'error', 'boom']])
      await expect(all(await context.resume('a'))).rejects.toThrow('boom')
      expect(await context.status('a')).toBe('error')
    })

    test('a superseded producer is told, and changes nothing', async () => {
      const to = calls()
      const context = make(to)
      const [old, renewed] = [source(), source()]
      await context.run('a', old.make)
      await context.delete('a')
      const stream = await context.run('a', renewed.make)
      old.write('stale')
      await to.tasks[0]
      expect(to.onError.mock.calls).toEqual([
        ['a', expect.objectContaining({ code: 'missing', message: 'Stream superseded by a new acquisition: a' })],
      ])
      expect(to.onFinalize).not.toHaveBeenCalled()
      renewed.write('new')
      renewed.close()
      expect(await all(stream)).toBe('new')
    })

    test('the responses of the package carry a message over a resume', async () => {
      const context = make()
      const response = await createResumableAssistantStreamResponse({
        context,
        streamId: 'a',
        callback: async (controller) => {
          controller.appendText('Hello ')
          const call = await controller.addToolCallPart({ toolName: 'tool', argsText: '{"a":1}' })
          call.setResponse({ result: { b: 'ü' } })
          controller.appendText('world')
        },
      })
      const first = new Uint8Array(await response.arrayBuffer())
      const resumed = await createResumeAssistantStreamResponse({ context, streamId: 'a' })
      expect(resumed.headers.get('x-resumable-stream-id')).toBe('a')
      const [again, decoded] = resumed.body!.tee()
      const messages = await Array.fromAsync(
        decoded.pipeThrough(new DataStreamDecoder()).pipeThrough(new AssistantMessageAccumulator()),
      )
      expect(new Uint8Array(await new Response(again).arrayBuffer())).toEqual(first)
      expect(messages.at(-1)).toMatchObject({
        parts: [{ text: 'Hello ' }, { toolName: 'tool', args: { a: 1 }, result: { b: 'ü' } }, { text: 'world' }],
      })
      expect((await createResumeAssistantStreamResponse({ context, streamId: 'b' })).status).toBe(404)
    })
  })
})

describe.each(Object.entries(hubs))('what a log adds, over %s', (_, open) => {
  let opened: OpenHub
  let store: ResumableStreamStore

  beforeEach(() => {
    opened = open()
    store = createAssistantStreamStore({ runs: opened.runs })
  })
  afterEach(() => opened.close())

  test('another process reads, and knows what became of the stream, but does not append', async () => {
    const other = createAssistantStreamStore({ hub: opened.hub })
    const held = await lease(store)
    expect(await other.acquire('a')).toBe('consumer')
    const reading = until(other)
    await store.append('a', bytes('1'), held)
    const superseded = { code: 'missing', message: 'Stream superseded by a new acquisition: a' }
    await expect(other.append('a', bytes('2'))).rejects.toMatchObject(superseded)
    await expect(other.append('a', bytes('2'), { token: 'guessed' })).rejects.toMatchObject(superseded)
    expect(await other.finalize('a', 'done')).toBe(false)
    await store.finalize('a', 'done', undefined, held)
    expect(await reading).toEqual({ seen: ['1'] })
    expect(await other.status('a')).toBe('done')
    await expect(other.append('a', bytes('2'))).rejects.toMatchObject({ code: 'finalized' })
  })

  test('a delete in another process refuses the producer and ends readers', async () => {
    const other = createAssistantStreamStore({ hub: opened.hub })
    const held = await lease(store)
    await store.append('a', bytes('1'), held)
    const reader = store.read('a', '', forever)[Symbol.asyncIterator]()
    await reader.next()
    const next = reader.next()
    await other.delete('a')
    expect(await next).toEqual({ done: true, value: undefined })
    await expect(store.append('a', bytes('2'), held)).rejects.toThrow('Stream not found: a')
    await lease(other)
    await expect(store.append('a', bytes('2'), held)).rejects.toMatchObject({
      code: 'missing',
      message: 'Stream superseded by a new acquisition: a',
    })
    expect(await store.finalize('a', 'done', undefined, held)).toBe(false)
  })

  test('readers of a topic that is deleted get nothing of the stream that has its id next', async () => {
    const topic = await topicOf('assistant-stream', 'a')
    await store.append('a', bytes('old'), await lease(store))
    const reader = store.read('a', '', forever)[Symbol.asyncIterator]()
    expect(text((await reader.next()).value!.chunk)).toBe('old')
    await runs(opened.hub).delete(topic)
    const other = createAssistantStreamStore({ hub: opened.hub })
    await other.append('a', bytes('new'), await lease(other))
    expect(await reader.next()).toEqual({ done: true, value: undefined })
  })

  test('a producer that gives no sign of life is an error after its last chunk, for every reader', async () => {
    const topic = await topicOf('assistant-stream', 'a')
    const run = await runs(opened.hub).claim(topic, { leaseMs: 100, graceMs: 100 })
    await run.publish([{ event: 'id', data: '"a"' }, { data: `["${btoa('1')}"]` }])
    run.release()
    for (const reader of [until(store), until(store)])
      expect(await reader).toEqual({
        seen: ['1'],
        error: expect.objectContaining({ message: expect.stringContaining('no sign of life') }),
      })
    expect(await store.status('a')).toBe('error')
    expect(await store.acquire('a')).toBe('consumer')
  })

  test('a stop ends the source, and the stream is done', async () => {
    const tasks: Promise<unknown>[] = []
    const onError = vi.fn()
    const context = createResumableStreamContext({ store, onError, waitUntil: (task) => void tasks.push(task) })
    const { make, write, cancelled } = source()
    await context.run('a', make)
    write('1')
    const reading = until(store)
    await runs(opened.hub).stop(await topicOf('assistant-stream', 'a'))
    write('2')
    expect(await cancelled).toMatchObject({ code: 'run_stopped' })
    await tasks[0]
    expect((await reading).error).toBeUndefined()
    expect(await store.status('a')).toBe('done')
    expect(await runs(opened.hub).state(await topicOf('assistant-stream', 'a'))).toMatchObject({ outcome: 'stopped' })
  })

  test('a long chunk is split in the log, and read whole', async () => {
    const chunk = crypto.getRandomValues(new Uint8Array(60_000))
    await store.acquire('a')
    await store.append('a', chunk)
    await store.finalize('a', 'done')
    const topic = await topicOf('assistant-stream', 'a')
    expect(await Array.fromAsync(opened.hub.entries(topic, { until: 'now' }))).toHaveLength(4)
    const [entry] = await Array.fromAsync(store.read('a', '', forever))
    expect(Buffer.from(entry!.chunk).equals(chunk)).toBe(true)
  })

  test('a long error is cut to what an outcome holds', async () => {
    await store.acquire('a')
    await store.finalize('a', 'error', 'x'.repeat(5000))
    expect((await until(store)).error).toEqual(new Error('x'.repeat(1000)))
  })

  test('an error tells that chunks are gone', async () => {
    await opened.close()
    opened = open({ retention: { topicCount: 2 } })
    store = createAssistantStreamStore({ runs: opened.runs })
    await store.acquire('a')
    for (const chunk of ['1', '2', '3']) await store.append('a', bytes(chunk))
    expect(await until(store)).toEqual({ seen: [], error: expect.objectContaining({ code: 'gap' }) })
  })

  test('errors have the name of the package', async () => {
    expect(await store.acquire('a b').catch((error) => error)).toBeInstanceOf(ResumableStreamError)
    expect(() => createAssistantStreamStore({ hub: opened.hub, keyPrefix: 'a b' })).toThrow(/as a topic/)
  })

  test('chunks can be read as entries', async () => {
    await store.acquire('a')
    await store.append('a', bytes('ü'))
    await store.finalize('a', 'done')
    const pieces = await Array.fromAsync(chunksOf(runs(opened.hub), await topicOf('assistant-stream', 'a')))
    expect(pieces.map((piece) => (piece.kind === 'chunk' ? piece.chunk : piece.kind))).toEqual(['start', 'w7w=', 'end'])
  })
})
