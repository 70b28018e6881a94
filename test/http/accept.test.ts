import fc from 'fast-check'
import Negotiator from 'negotiator'
import { expect, test } from 'vitest'
import { negotiate } from '../../src/routes/accept.ts'
import { runs, seed } from '../seed.ts'

const OFFERED = ['text/event-stream', 'application/json'] as const

const named = fc.constantFrom('text/event-stream', 'Application/JSON', 'TEXT/*', 'application/*', '*/*', 'text/html')
const quality = fc.constantFrom(
  '',
  ';q=1',
  ';q=0',
  '; q=0.5',
  ' ;q=0.50',
  ';q=0.501',
  '; q=0.001',
  ';q=1.000',
  ';q=0.000',
)
/** Each range once, with a quality. */
const header = fc.uniqueArray(fc.tuple(named, quality), { minLength: 1, maxLength: 5, selector: ([name]) => name })

/** What the library chooses, which prefers the range that stands first where quality and specificity are equal. */
const chosen = (ranges: readonly string[]) =>
  new Negotiator({ headers: { accept: ranges.join(' , ') } }).mediaType([...OFFERED])

test('the type is the one that a public library chooses; where its order in Accept would decide, a stream', () => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(header, (pairs) => {
      const ranges = pairs.map(([name, q]) => name + q)
      const forwards = chosen(ranges)
      const backwards = chosen(ranges.toReversed())
      const expected = forwards === backwards ? (forwards ?? OFFERED[0]) : OFFERED[0]
      seen.add(`${forwards} ${backwards}`)
      expect(negotiate(ranges.join(' , '), OFFERED).type).toBe(expected)
    }),
    { seed, numRuns: runs(2000, 100_000) },
  )
  expect(seen.size).toBeGreaterThanOrEqual(4)
})

test.each([
  ['text/event-stream', true],
  ['application/json;q=0.5, Text/Event-Stream;q=0.6', true],
  ['*/*', false],
  ['text/*', false],
  ['text/event-stream;q=0', false],
  ['text/event-stream;q=0, text/html', false],
  ['', false],
  [undefined, false],
])('a client with Accept: %s names the stream: %s', (accept, isNamed) =>
  expect(negotiate(accept, OFFERED)).toEqual({ type: 'text/event-stream', isNamed }),
)

test.each([
  ['*', 'text/event-stream'],
  ['text/event-stream;q=.1, *; q=.2, */*; q=.2', 'application/json'], // Java's HttpURLConnection sends such a header
  [' , ,application/json,', 'application/json'],
  ['application/json;Q=0.1, text/*;q=0.2', 'text/event-stream'],
  ['application/json;x=",text/event-stream"', 'application/json'],
  ['application/json;q=2, text/event-stream;q=1', 'text/event-stream'],
  [';;;,"', 'text/event-stream'],
])('%s means %s', (accept, type) => expect(negotiate(accept, OFFERED).type).toBe(type))
