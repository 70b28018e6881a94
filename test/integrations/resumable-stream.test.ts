import fc from 'fast-check'
import * as upstream from 'resumable-stream/generic'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { createResumableStreamContext, type ResumableStreamOptions } from '../../src/integrations/resumable-stream.ts'
import { runs } from '../../src/runs/near.ts'
import { introductionOf, whole } from '../../src/runs/parts.ts'
import type { Runs } from '../../src/runs/run.ts'
import { topicOf } from '../../src/runs/topics.ts'
import { seed } from '../seed.ts'
import { hubs, type OpenHub } from './hubs.ts'
import { readUntilEnd } from './read.ts'

type Context = upstream.ResumableStreamContext

/** A source that the test writes. */
function source() {
  const { readable, writable } = new TransformStream<string, string>({}, undefined, { highWaterMark: 100 })
  const writer = writable.getWriter()
  return {
    readable,
    make: () => readable,
    write: (...chunks: string[]) => {
      for (const chunk of chunks) void writer.write(chunk).catch(() => {})
    },
    close: () => void writer.close().catch(() => {}),
    fail: (error: unknown) => writer.abort(error),
    cancelled: writer.closed.then(
      () => undefined,
      (reason) => reason,
    ),
  }
}
const given = (...chunks: string[]) => {
  const made = source()
  made.write(...chunks)
  made.close()
  return made.readable
}
const never = () => {
  throw new Error('The stream was made again')
}

const text = async (stream: ReadableStream<string> | null | undefined) => (await Array.fromAsync(stream!)).join('')

/** Reads text of some length, and leaves the stream open. */
async function take(stream: ReadableStream<string> | null, length: number): Promise<string> {
  const reader = stream!.getReader()
  let seen = ''
  while (seen.length < length) seen += (await reader.read()).value
  reader.releaseLock()
  return seen
}

/** What the package calls on its clients of Redis, in memory. */
function pubsub(): upstream.Publisher & upstream.Subscriber {
  const values = new Map<string, string | number>()
  const listeners = new Map<string, (message: string) => void>()
  return {
    connect: async () => {},
    publish: async (channel, message) => listeners.get(channel)?.(message),
    set: async (key, value) => values.set(key, value),
    get: async (key) => values.get(key) ?? null,
    async incr(key) {
      const value = Number(values.get(key) ?? 0) + 1
      if (Number.isNaN(value)) throw new Error('ERR value is not an integer or out of range')
      values.set(key, value)
      return value
    },
    subscribe: async (channel, listener) => void listeners.set(channel, listener),
    unsubscribe: async (channel) => listeners.delete(channel),
  }
}

type Opened = { readonly context: Context; close(): Promise<void> }

const overHub = (open: () => OpenHub) => (): Opened => {
  const { runs, close } = open()
  return { context: createResumableStreamContext({ runs, waitUntil: null }), close }
}

/** The package itself shows that the cases are what it does. */
const all: Readonly<Record<string, () => Opened>> = {
  'resumable-stream itself'() {
    const both = pubsub()
    const options = { waitUntil: null, subscriber: both, publisher: both }
    return { context: upstream.createResumableStreamContext(options), close: async () => {} }
  },
  ...Object.fromEntries(Object.entries(hubs).map(([name, open]) => [name, overHub(open)])),
}

describe.each(Object.entries(all))('what resumable-stream does, over %s', (_, open) => {
  let context: Context
  let close: () => Promise<void>

  beforeEach(() => {
    ;({ context, close } = open())
  })
  afterEach(() => close())

  test('the first caller gets its own stream', async () => {
    const { make, write, close } = source()
    const stream = await context.resumableStream('a', make)
    write('1\n', '2\n', '3\n')
    close()
    expect(await text(stream)).toBe('1\n2\n3\n')
  })

  test.each(['first', 'second'])(
    'a second caller gets the same stream, if the %s reads before the other',
    async (who) => {
      const { make, write, close } = source()
      const first = await context.resumableStream('a', make)
      const second = await context.resumableStream('a', never)
      write('1\n', '2\n')
      close()
      const [before, after] = who === 'first' ? [first, second] : [second, first]
      expect(await text(before)).toBe('1\n2\n')
      expect(await text(after)).toBe('1\n2\n')
    },
  )

  test('a caller who comes in the midst gets the beginning too', async () => {
    const { make, write, close } = source()
    const first = await context.resumableStream('a', make)
    write('1\n')
    const second = await context.resumableStream('a', never)
    write('2\n')
    const third = await context.resumableStream('a', never)
    close()
    expect(await Promise.all([first, second, third].map(text))).toEqual(['1\n2\n', '1\n2\n', '1\n2\n'])
  })

  test('each reader gets what there is before the stream is done', async () => {
    const { make, write, close } = source()
    const first = await context.resumableStream('a', make)
    write('1\n')
    const second = await context.resumableStream('a', never)
    expect(await take(second, 2)).toBe('1\n')
    expect(await take(first, 2)).toBe('1\n')
    write('2\n')
    close()
    expect(await text(first)).toBe('2\n')
    expect(await text(second)).toBe('2\n')
  })

  test('ids are different streams', async () => {
    const [a, b] = [source(), source()]
    const streams = [await context.resumableStream('a', a.make), await context.resumableStream('b/ü', b.make)]
    streams.push(await context.resumableStream('a', never), await context.resumableStream('b/ü', never))
    a.write('1\n', '2\n')
    b.write('b\n')
    a.close()
    b.close()
    expect(await Promise.all(streams.map(text))).toEqual(['1\n2\n', 'b\n', '1\n2\n', 'b\n'])
  })

  test.each([
    [0, '1\n2\n'],
    [2, '2\n'],
    [3, '\n'],
    [4, ''],
  ])('a caller who skips %i characters gets the rest', async (skip, rest) => {
    const { make, write, close } = source()
    const first = await context.resumableStream('a', make)
    write('1\n', '2\n')
    expect(await take(first, 4)).toBe('1\n2\n')
    const second = await context.resumableStream('a', never, skip)
    const third = await context.resumeExistingStream('a', skip)
    close()
    expect([await text(second), await text(third)]).toEqual([rest, rest])
  })

  test('characters are UTF-16 code units', async () => {
    const { make, write, close } = source()
    const first = await context.resumableStream('a', make)
    write('😀', 'ü', '漢')
    expect(await take(first, 4)).toBe('😀ü漢')
    const second = await context.resumableStream('a', never, 3)
    close()
    expect(await text(second)).toBe('漢')
  })

  test('the first caller gets all, whatever it skips', async () => {
    expect(await text(await context.resumableStream('a', () => given('1\n', '2\n'), 2))).toBe('1\n2\n')
    expect(await text(await context.createNewResumableStream('b', () => given('1\n', '2\n'), 2))).toBe('1\n2\n')
  })

  test('a done stream is null', async () => {
    await text(await context.resumableStream('a', () => given('1\n')))
    await expect.poll(() => context.hasExistingStream('a')).toBe('DONE')
    expect(await context.resumableStream('a', never)).toBeNull()
    expect(await context.resumeExistingStream('a')).toBeNull()
  })

  test('a stream is made and resumed by two functions too', async () => {
    expect(await context.resumeExistingStream('a')).toBeUndefined()
    expect(await context.hasExistingStream('a')).toBeNull()
    const { make, write, close } = source()
    const first = await context.createNewResumableStream('a', make)
    expect(await context.hasExistingStream('a')).toBe(true)
    const second = await context.resumeExistingStream('a')
    write('1\n', '2\n')
    close()
    expect(await Promise.all([text(first), text(second)])).toEqual(['1\n2\n', '1\n2\n'])
    await expect.poll(() => context.hasExistingStream('a')).toBe('DONE')
    expect(await context.resumeExistingStream('a')).toBeNull()
  })

  test('a stream is produced to its end although its reader leaves', async () => {
    const { make, write, close } = source()
    const first = await context.resumableStream('a', make)
    write('1\n')
    expect(await take(first, 2)).toBe('1\n')
    const second = await context.resumableStream('a', never)
    await first!.cancel()
    write('2\n')
    close()
    expect(await text(second)).toBe('1\n2\n')
    await expect.poll(() => context.hasExistingStream('a')).toBe('DONE')
  })

  test('a done stream can be made anew', async () => {
    await text(await context.resumableStream('a', () => given('old')))
    await expect.poll(() => context.hasExistingStream('a')).toBe('DONE')
    const { make, write, close } = source()
    const first = await context.createNewResumableStream('a', make)
    const second = await context.resumableStream('a', never)
    write('new')
    close()
    expect(await Promise.all([text(first), text(second)])).toEqual(['new', 'new'])
  })

  test('what makeStream throws, the caller gets', async () => {
    await expect(context.createNewResumableStream('a', never)).rejects.toThrow('The stream was made again')
  })
})

describe.each(Object.entries(hubs))('what a log adds, over %s', (_, open) => {
  let opened: OpenHub
  const make = (more: Partial<ResumableStreamOptions> = {}) =>
    createResumableStreamContext({ runs: opened.runs, waitUntil: null, ...more } as ResumableStreamOptions)

  beforeEach(() => {
    opened = open()
  })
  afterEach(() => opened.close())

  test('of many first callers one makes the stream', async () => {
    const { readable, write, close } = source()
    const makeStream = vi.fn(() => readable)
    const context = make()
    const calling = Array.from({ length: 10 }, (_, i) =>
      i % 2 ? context.resumableStream('a', makeStream) : context.createNewResumableStream('a', makeStream),
    )
    const streams = await Promise.all(calling)
    write('1', '2')
    close()
    expect(await Promise.all(streams.map(text))).toEqual(Array(10).fill('12'))
    expect(makeStream).toHaveBeenCalledOnce()
  })

  test('another process resumes what the first one produces', async () => {
    const { make: makeStream, write, close } = source()
    await make().resumableStream('a', makeStream)
    write('1')
    const other = createResumableStreamContext({ hub: opened.hub, waitUntil: null })
    const resumed = await other.resumeExistingStream('a')
    expect(await take(resumed!, 1)).toBe('1')
    write('2')
    close()
    expect(await text(resumed)).toBe('2')
  })

  test('waitUntil gets a promise that resolves once the stream is done', async () => {
    const waitUntil = vi.fn<(promise: Promise<unknown>) => void>()
    const context = make({ waitUntil })
    const { make: makeStream, write, close } = source()
    await (await context.resumableStream('a', makeStream))!.cancel()
    await context.resumableStream('a', never)
    write('1')
    close()
    expect(waitUntil).toHaveBeenCalledOnce()
    await waitUntil.mock.calls[0]![0]
    expect(await context.hasExistingStream('a')).toBe('DONE')
  })

  test('with replay a done stream is resumed too', async () => {
    const context = make({ replay: true })
    await text(await context.resumableStream('a', () => given('1', '2', '3')))
    await expect.poll(() => context.hasExistingStream('a')).toBe('DONE')
    expect(await text(await context.resumableStream('a', never))).toBe('123')
    expect(await text(await context.resumeExistingStream('a', 2))).toBe('3')
    expect(await make().resumeExistingStream('a')).toBeNull()
  })

  test('a reader who skips more than there is gets what comes after that', async () => {
    const context = make()
    const { make: makeStream, write, close } = source()
    await context.resumableStream('a', makeStream)
    write('12')
    const streams = await Promise.all([5, -1, Number.NaN].map((skip) => context.resumeExistingStream('a', skip)))
    write('345', '67')
    close()
    expect(await Promise.all(streams.map(text))).toEqual(['67', '1234567', '1234567'])
  })

  test('whatever is written is read, joined or not, from every character on', async () => {
    const chunk = fc.constantFrom('a', 'bc', '\r\n', '\ud83d', '\ude00', '\0', '"\\', '')
    let streams = 0
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 6 }), fc.integer({ min: 1, max: 3 }), async (chunks, count) => {
        const context = make({ replay: true, join: { count, ms: 1 } })
        const id = `s${streams++}`
        const whole = chunks.join('')
        expect(await text(await context.resumableStream(id, () => given(...chunks)))).toBe(whole)
        for (let skip = 0; skip <= whole.length; skip++)
          expect(await text(await context.resumeExistingStream(id, skip))).toBe(whole.slice(skip))
      }),
      { seed, numRuns: 10 },
    )
  })

  test('joined chunks are one entry, and a long chunk is many', async () => {
    const context = make({ replay: true, join: { count: 100 } })
    const long = 'x'.repeat(200_000)
    expect(await text(await context.resumableStream('a', () => given('1', '2', '3', long)))).toBe(`123${long}`)
    const entries = await Array.fromAsync(opened.hub.entries(await topicOf('resumable-stream', 'a'), { until: 'now' }))
    expect(entries.map((entry) => entry.kind === 'entry' && [entry.event, entry.data?.slice(0, 20)])).toEqual([
      ['id', '"a"'],
      ['message', '["1","2","3"]'],
      ...Array.from({ length: 8 }, (_, i) => ['part', `{"i":${i},"n":8,"text":"xxxx`.slice(0, 20)]),
      ['message', undefined],
    ])
  })

  test('a source that fails is an error after its last chunk, for every reader, and tells no secret', async () => {
    const onError = vi.fn()
    const context = make({ onError })
    const { make: makeStream, write, fail } = source()
    const first = await context.resumableStream('a', makeStream)
    const second = await context.resumableStream('a', never)
    write('1', '2')
    expect(await take(second, 2)).toBe('12')
    const error = new Error('Incorrect API key: sk-secret')
    void fail(error)
    for (const stream of [first, second]) {
      const { seen, error } = await readUntilEnd(stream)
      expect([seen, error]).toEqual([stream === first ? '12' : '', expect.objectContaining({ code: 'run_failed' })])
      expect(String(error)).not.toContain('secret')
    }
    await expect.poll(() => onError.mock.calls).toEqual([['a', error]])
    expect(await context.hasExistingStream('a')).toBe(true)
    expect(await readUntilEnd(await context.resumableStream('a', never))).toEqual({
      seen: '12',
      error: expect.objectContaining({ message: expect.stringContaining('Its source has failed') }),
    })
    expect(await text(await context.createNewResumableStream('a', () => given('new')))).toBe('new')
  })

  test('a stream that could not be made is an error for those who resume it', async () => {
    const context = make()
    await expect(context.resumableStream('a', never)).rejects.toThrow('The stream was made again')
    expect(await readUntilEnd(await context.resumeExistingStream('a'))).toMatchObject({
      seen: '',
      error: { code: 'run_failed' },
    })
  })

  test('a source that somebody else reads is an error for its caller and for those who resume it', async () => {
    const context = make()
    const source = new ReadableStream<string>()
    source.getReader()
    await expect(context.resumableStream('a', () => source)).rejects.toBeInstanceOf(TypeError)
    expect(await readUntilEnd(await context.resumeExistingStream('a'))).toMatchObject({ error: { code: 'run_failed' } })
  })

  test('a producer that gives no sign of life is an error after its last chunk, for every reader', async () => {
    const topic = await topicOf('resumable-stream', 'a')
    const run = await runs(opened.hub).claim(topic, { leaseMs: 100, graceMs: 100 })
    await run.publish([introductionOf('a'), whole(['1', '2'])])
    run.release()
    const context = make()
    const streams = [await context.resumeExistingStream('a'), await context.resumableStream('a', never)]
    for (const { seen, error } of await Promise.all(streams.map(readUntilEnd)))
      expect([seen, error]).toEqual(['12', expect.objectContaining({ code: 'run_failed' })])
    expect(String((await readUntilEnd(await context.resumeExistingStream('a'))).error)).toMatch(/no sign of life/)
    expect(await text(await context.createNewResumableStream('a', () => given('new')))).toBe('new')
  })

  test('a producer that could not renew its lease is an error, not an end, although the log is back', async () => {
    const near = opened.runs
    const control = new AbortController()
    const cut: Runs = {
      claim: async (...given) => {
        const run = await near.claim(...given)
        return Object.defineProperty(run, 'signal', { value: control.signal })
      },
      stop: (...given) => near.stop(...given),
      state: (topic) => near.state(topic),
      entries: (...given) => near.entries(...given),
      delete: (topic) => near.delete(topic),
    }
    const onError = vi.fn()
    const context = createResumableStreamContext({ runs: cut, waitUntil: null, onError })
    const { make: makeStream, write, cancelled } = source()
    const stream = await context.resumableStream('a', makeStream)
    write('1')
    expect(await take(stream, 1)).toBe('1')
    const away = new AppError('log_unavailable', 'Cannot renew the lease')
    control.abort(away)
    expect(await readUntilEnd(stream)).toMatchObject({ seen: '', error: { code: 'run_failed' } })
    expect(await cancelled).toBe(away)
    await expect.poll(() => onError.mock.calls).toEqual([['a', away]])
  })

  test('a stop cancels the source, and the stream is done', async () => {
    const context = make({ leaseMs: 1500 }) // a producer elsewhere is told at its next renewal
    const { make: makeStream, write, cancelled } = source()
    const stream = await context.resumableStream('a', makeStream)
    write('1')
    expect(await take(stream, 1)).toBe('1')
    expect(await make().cancelStream('a')).toBe(true)
    expect(await text(stream)).toBe('')
    expect(await cancelled).toMatchObject({ code: 'run_stopped' })
    expect(await context.hasExistingStream('a')).toBe('DONE')
    expect(await context.cancelStream('a')).toBe(false)
  })

  test('a stop before the stream begins is told to its producer', async () => {
    const context = make()
    expect(await context.cancelStream('a')).toBe(false)
    expect(await context.hasExistingStream('a')).toBeNull()
    const { make: makeStream, cancelled } = source()
    expect(await text(await context.resumableStream('a', makeStream))).toBe('')
    expect(await cancelled).toMatchObject({ code: 'run_stopped' })
  })

  test('a stream that is made anew refuses the producer before, and its readers get an error and nothing of the new one', async () => {
    const onError = vi.fn()
    const context = make({ onError })
    const old = source()
    const first = await context.resumableStream('a', old.make)
    old.write('old')
    expect(await take(first, 3)).toBe('old')
    const renewed = source()
    const second = await context.createNewResumableStream('a', renewed.make)
    old.write('late')
    renewed.write('new')
    renewed.close()
    expect(await text(second)).toBe('new')
    expect(await readUntilEnd(first)).toMatchObject({ seen: '', error: expect.any(Error) })
    expect(await old.cancelled).toMatchObject({ code: 'run_lost' })
    await expect.poll(() => onError.mock.calls).toEqual([['a', expect.objectContaining({ code: 'run_lost' })]])
    expect(await text(await make({ replay: true }).resumeExistingStream('a'))).toBe('new')
  })

  test('prefixes are different streams, and one that is no topic is refused', async () => {
    const context = make({ keyPrefix: 'chat:7' })
    await text(await context.resumableStream('a', () => given('1')))
    expect(await make().hasExistingStream('a')).toBeNull()
    expect(() => make({ keyPrefix: 'a b' })).toThrow(expect.objectContaining({ code: 'topic_invalid' }))
  })

  test('an error tells that the beginning is gone', async () => {
    await opened.close()
    opened = open({ retention: { topicCount: 3 } })
    const context = make({ replay: true })
    await readUntilEnd(await context.resumableStream('a', () => given('1', '2', '3', '4')))
    await expect.poll(() => context.hasExistingStream('a')).toBe('DONE')
    expect(await readUntilEnd(await context.resumeExistingStream('a'))).toMatchObject({
      seen: '',
      error: { code: 'gap' },
    })
  })

  test('a reader who leaves leaves nothing behind', async () => {
    const context = make()
    const { make: makeStream, write, close } = source()
    const stream = await context.resumableStream('a', makeStream)
    const reader = stream!.getReader()
    const reading = reader.read()
    await reader.cancel()
    expect(await reading).toEqual({ done: true, value: undefined })
    write('1')
    close()
    await expect.poll(() => context.hasExistingStream('a')).toBe('DONE')
  })
})
