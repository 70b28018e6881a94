import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { runs } from '../../src/runs/near.ts'
import { bytesOf, chunksOf, introductionOf, MAX_PARTS, type Piece, split, whole } from '../../src/runs/parts.ts'
import type { RunMessage } from '../../src/runs/run.ts'
import { seed } from '../seed.ts'

let hub: Hub
let topics = 0

beforeEach(() => {
  hub = new Hub(() => memoryLog({ retention: { topicCount: 1000 } }))
})
afterEach(() => hub.close())

/** Any UTF-16, with the characters whose forms are longest. */
const text = fc
  .array(fc.constantFrom('a', '"', '\\', '\n', '\r\n', '\0', '\u0001', '\u6f22', '\ud83d', '\ude00', '\u2028'))
  .map((pieces) => pieces.join(''))

/** The entries of one chunk. */
const pack = (chunk: string, maxBytes: number) =>
  bytesOf(chunk) > maxBytes ? split(chunk, maxBytes) : [whole([chunk])]

/** A topic with the entries of a run that has ended. */
async function published(messages: readonly RunMessage[]): Promise<string> {
  const topic = `t/${topics++}`
  const run = await runs(hub).claim(topic)
  await run.publish([introductionOf('an id'), ...messages])
  await run.end({ outcome: 'failed', detail: 'why' })
  return topic
}
const read = (topic: string, after?: string): Promise<Piece[]> => Array.fromAsync(chunksOf(runs(hub), topic, { after }))
const chunksIn = (pieces: readonly Piece[]) => pieces.flatMap((piece) => (piece.kind === 'chunk' ? [piece.chunk] : []))

describe('chunks as entries', () => {
  test('introductions, whole chunks and parts have these forms', () => {
    expect(introductionOf('a\r')).toEqual({ event: 'id', data: '"a\\r"' })
    expect(whole(['Hel', 'lo\r'])).toEqual({ data: '["Hel","lo\\r"]' })
    expect(whole(['\ud83d'])).toEqual({ data: '["\\ud83d"]' })
    expect(split('abcdef', 9)).toEqual([
      { event: 'part', data: '{"i":0,"n":2,"text":"abc"}' },
      { event: 'part', data: '{"i":1,"n":2,"text":"def"}' },
    ])
  })

  test('a chunk is split into parts that fit, whatever it holds', () => {
    const holds = (chunk: string, maxBytes: number) => {
      for (const { data } of pack(chunk, maxBytes))
        if (data.startsWith('{')) expect(bytesOf(JSON.parse(data).text)).toBeLessThanOrEqual(maxBytes)
        else expect(bytesOf(chunk)).toBeLessThanOrEqual(maxBytes)
    }
    fc.assert(fc.property(text, fc.integer({ min: 20, max: 60 }), holds), { seed, numRuns: 500 })
  })

  test('a chunk of more than 1,024 parts is refused', () => {
    expect(split('x'.repeat(4 * MAX_PARTS), 10)).toHaveLength(MAX_PARTS)
    expect(() => split('x'.repeat(4 * MAX_PARTS + 1), 10)).toThrow(/it would have 1025 parts, at most 1024 are allowed/)
  })

  test('a reader gets the chunks that were published, and after each offset the rest', async () => {
    const entry = fc.oneof(
      fc.array(text, { maxLength: 4 }).map((chunks) => ({ chunks, messages: [whole(chunks)] })),
      text.map((chunk) => ({ chunks: [chunk], messages: pack(chunk, 30) })),
      fc.constant({ chunks: [] as string[], messages: [{ event: 'other', data: 'no chunk' }] }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 5 }), async (entries) => {
        const topic = await published(entries.flatMap(({ messages }) => messages))
        const all = await read(topic)
        expect(chunksIn(all)).toEqual(entries.flatMap(({ chunks }) => chunks))
        expect(all.at(-1)).toEqual({ kind: 'end', outcome: 'failed', detail: 'why' })
        for (const [i, piece] of all.entries())
          if (piece.kind !== 'end') expect(await read(topic, piece.offset)).toEqual(all.slice(i + 1))
      }),
      { seed, numRuns: 100 },
    )
  })

  test('the offset of the last chunk of an entry is its id, that of an earlier one is id.index', async () => {
    const [, first, second, third] = await read(await published([whole(['a', 'b']), ...split('long', 8)]))
    expect([first, second, third]).toEqual([
      { kind: 'chunk', chunk: 'a', offset: expect.stringMatching(/^\w{10}-2\.0$/) },
      { kind: 'chunk', chunk: 'b', offset: expect.stringMatching(/^\w{10}-2$/) },
      { kind: 'chunk', chunk: 'long', offset: expect.stringMatching(/^\w{10}-4$/) },
    ])
  })

  test('a reader learns that another producer begins', async () => {
    const all = await read(await published([whole(['a']), introductionOf('an id'), whole(['b'])]))
    expect(all.map(({ kind }) => kind)).toEqual(['start', 'chunk', 'start', 'chunk', 'end'])
  })

  test('a chunk without its last part is left out, and so are its parts when another producer begins anew', async () => {
    const [a, b, c] = split('abcdefgh', 8) as [RunMessage, RunMessage, RunMessage]
    expect(chunksIn(await read(await published([a, b])))).toEqual([])
    expect(chunksIn(await read(await published([b, c])))).toEqual([])
    expect(chunksIn(await read(await published([a, ...split('abcdefgh', 8)])))).toEqual(['abcdefgh'])
    expect(chunksIn(await read(await published([a, whole(['x']), b])))).toEqual(['x'])
    expect(chunksIn(await read(await published([a, introductionOf('an id'), b, c])))).toEqual([])
  })

  test.each(['', 'x', 'epoch-', 'epoch-1.', 'epoch-1.x', '-1', 'epoch-1.9999999999'])(
    'refuses %j as an offset',
    async (after) => {
      await expect(read('t/none', after)).rejects.toMatchObject({ code: 'parameter_invalid' })
    },
  )

  test.each(['text', '{}', '["a",1]', 'null', '7'])('refuses an entry with the data %s', async (data) => {
    await expect(read(await published([{ data }]))).rejects.toMatchObject({ code: 'message_invalid' })
    await expect(read(await published([{ data, event: 'part' }]))).rejects.toMatchObject({ code: 'message_invalid' })
  })

  test('an error tells that entries are gone, also those of the beginning', async () => {
    await hub.close()
    hub = new Hub(() => memoryLog({ retention: { topicCount: 3 } }))
    const topic = await published([whole(['a']), whole(['b']), whole(['c'])])
    await expect(read(topic)).rejects.toMatchObject({ code: 'gap', message: expect.stringContaining('(trimmed)') })
    const { lastId } = (await runs(hub).state(topic))!
    const first = lastId!.replace(/5$/, '1')
    await expect(read(topic, first)).rejects.toMatchObject({ code: 'gap', message: expect.stringContaining(first) })
    expect(chunksIn(await read(topic, lastId!.replace(/5$/, '2')))).toEqual(['b', 'c'])
  })

  test('a reader that leaves gets nothing more, also of what is there', async () => {
    const topic = await published([whole(['a']), whole(['b'])])
    const near = runs(hub)
    // Entries over HTTP come many at a time.
    const all = await Array.fromAsync(near.entries(topic))
    const control = new AbortController()
    const seen: Piece[] = []
    const atOnce = {
      async *entries() {
        yield* all
      },
    }
    for await (const piece of chunksOf(atOnce, topic, { signal: control.signal })) {
      seen.push(piece)
      if (piece.kind === 'chunk') control.abort()
    }
    expect(chunksIn(seen)).toEqual(['a'])
  })

  test('an error tells that the end is gone too', async () => {
    await hub.close()
    hub = new Hub(() => memoryLog({ retention: { count: 1 } }))
    const topic = await published([whole(['a'])])
    await hub.publish({ topic: 'other', data: 'x' })
    await expect(read(topic)).rejects.toMatchObject({ code: 'gap' })
  })

  test('the last chunk may be in the entry that closes the topic', async () => {
    const run = await runs(hub).claim('t/last')
    await run.publish(introductionOf('x'))
    await run.end({ data: '["a","b"]' })
    const all = await read('t/last')
    expect(all.map(({ kind }) => kind)).toEqual(['start', 'chunk', 'chunk', 'end'])
    for (const [i, piece] of all.entries())
      if (piece.kind !== 'end') expect(await read('t/last', piece.offset)).toEqual(all.slice(i + 1))
  })

  test('a run that has failed before its first entry needs no introduction', async () => {
    const run = await runs(hub).claim('t/none')
    await run.end({ outcome: 'failed', detail: 'why' })
    expect(await read('t/none')).toEqual([{ kind: 'end', outcome: 'failed', detail: 'why' }])
  })

  test('a reader that leaves gets no end', async () => {
    const run = await runs(hub).claim('t/open')
    await run.publish([introductionOf('x'), whole(['a'])])
    const control = new AbortController()
    const seen: Piece[] = []
    for await (const piece of chunksOf(runs(hub), 't/open', { signal: control.signal })) {
      seen.push(piece)
      if (piece.kind === 'chunk') control.abort()
    }
    expect(seen.map(({ kind }) => kind)).toEqual(['start', 'chunk'])
    run.release()
  })
})
