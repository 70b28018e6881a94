import fc from 'fast-check'
import { expect, test } from 'vitest'
import { utf8Length, weigh } from '../../src/log/log.ts'
import { runs, seed } from '../seed.ts'

const encoder = new TextEncoder()
const bytesOf = (text: string) => encoder.encode(text).byteLength
const text = fc.string({ unit: 'binary', maxLength: 100 }) // includes surrogate pairs, but no halves of them
/** Texts that may be longer than the encoding buffer, so that the buffer may end at any character. */
const long = fc.tuple(text, fc.nat(9000)).map(([unit, length]) => unit.repeat(1 + length / Math.max(1, unit.length)))

test('an entry weighs the bytes of its topic, event name and data', () => {
  fc.assert(
    fc.property(fc.oneof(text, long), text, (data, event) => {
      expect(utf8Length(data)).toBe(bytesOf(data))
      expect(weigh({ topic: 'a/b', data, event })).toBe(3 + bytesOf(data) + bytesOf(event))
    }),
    { seed, numRuns: runs(300, 20_000) },
  )
  expect(weigh({ topic: 'a/b' })).toBe(3)
})
