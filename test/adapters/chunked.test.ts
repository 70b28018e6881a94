import { expect, test } from 'vitest'
import { ChunkedCoding } from '../../src/adapters/chunked.ts'

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')

test('a chunk is framed with its length in bytes, once for all its readers', () => {
  const coding = new ChunkedCoding()
  const chunk = new TextEncoder().encode('data: \u00e9\n\n')
  const framed = coding.frame(chunk)
  expect(text(framed)).toBe('a\r\ndata: \u00e9\n\n\r\n')
  expect(coding.frame(chunk)).toBe(framed)
  expect(text(coding.frame(new Uint8Array(65_536).fill(46)))).toBe(`10000\r\n${'.'.repeat(65_536)}\r\n`)
})

test('framed bytes are kept for a bounded number of chunks, however long the chunks themselves are kept', () => {
  const coding = new ChunkedCoding()
  const chunks = Array.from({ length: 65 }, (_, i) => new Uint8Array([i]))
  const [first] = chunks.map((chunk) => coding.frame(chunk))
  expect(coding.frame(chunks[0]!)).not.toBe(first)
})
