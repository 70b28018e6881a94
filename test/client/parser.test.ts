import { createParser as createReference } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createParser } from '../../public/client.js'
import { runs, seed } from '../seed.ts'

const encoder = new TextEncoder()

/** What a parser reports, in order. */
function read(chunks: readonly Uint8Array[]): unknown[] {
  const heard: unknown[] = []
  const parser = createParser({
    onEvent: ({ event, data, id }) => heard.push({ event, data, id }),
    onRetry: (retry) => heard.push({ retry }),
    onComment: () => heard.push('comment'),
  })
  for (const chunk of chunks) parser.feed(chunk)
  return heard
}

function readByReference(bytes: Uint8Array): unknown[] {
  const heard: unknown[] = []
  const parser = createReference({
    onEvent: ({ event, data, id }) => heard.push({ event: event || 'message', data, id }),
    onRetry: (retry) => heard.push({ retry }),
    onComment: () => heard.push('comment'),
  })
  parser.feed(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)) // the reference itself drops one byte order mark
  return heard
}

const parts = [
  'data',
  'event',
  'id',
  'retry',
  ':',
  ': ',
  ' ',
  '\n',
  '\n\n',
  '\r',
  '\r\n',
  '\0',
  '1',
  '500',
  'x',
  'é',
  '🙂',
  '\ufeff',
]
const streamOf = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...parts).map((text) => encoder.encode(text)) },
      {
        weight: 2,
        arbitrary: fc
          .constantFrom('data: a\n\n', 'id: 7\n\n', 'retry: 9\n', ': hi\r\n')
          .map((text) => encoder.encode(text)),
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 4 }) },
    ),
    { maxLength: 60 },
  )
  .map((pieces) => new Uint8Array(Buffer.concat(pieces)))

describe('the parser', () => {
  test('reads random bytes, cut at random places, as eventsource-parser reads them', () => {
    fc.assert(
      fc.property(streamOf, fc.array(fc.nat(200), { maxLength: 12 }), (bytes, places) => {
        const cuts = [0, ...places.map((place) => Math.min(place, bytes.length)).sort((a, b) => a - b), bytes.length]
        const chunks = cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end))
        expect(read(chunks)).toEqual(readByReference(bytes))
      }),
      { seed, numRuns: runs(3000, 300_000) },
    )
  })

  test('reads a frame that arrives byte by byte, with each kind of line end', () => {
    for (const end of ['\n', '\r', '\r\n']) {
      const text = ['event: said', 'data: one', 'data:  two', 'data', 'id: e-1', 'retry: 500', '', ''].join(end)
      const chunks = [...encoder.encode(text)].map((byte) => new Uint8Array([byte]))
      expect(read(chunks)).toEqual([{ retry: 500 }, { event: 'said', data: 'one\n two\n', id: 'e-1' }])
    }
  })

  test('reports nothing of an event before its blank line', () => {
    expect(read([encoder.encode('data: half\nid: e-1\n')])).toEqual([])
  })

  test('reads a line of many pieces in linear time, and refuses an event without an end', () => {
    const piece = encoder.encode('x'.repeat(1024))
    const parser = createParser({})
    parser.feed(encoder.encode('data: '))
    expect(() => {
      for (let i = 0; i < 20_000; i++) parser.feed(piece)
    }).toThrow('Cannot read an event of more than 16777216 characters')
  })
})
