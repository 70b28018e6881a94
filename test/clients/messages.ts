import fc from 'fast-check'
import { runs, seed } from '../seed.ts'

/** A message to publish: its data, and an event name if it has one. */
export interface Message {
  readonly data: string
  readonly event?: string
}

/** The hub's default limit of an event in the longest of its forms. */
export const MAX_EVENT_BYTES = 63 * 1024
const MAX_NAME_BYTES = 200

const BOM = '\ufeff'

/** Texts that a parser, decoder, database or `trim()` could misread. */
const pieces = [
  '',
  ...['\r', '\n', '\r\n', '\n\n', '\n\r', '\r\r', '\r\n\r\n'],
  ...[' ', '  ', '\t', ':', '0', 'a', 'é', 'e\u0301', '😀', '👩‍👩‍👧', '漢', '\u{10ffff}'],
  ...['\0', '\u0001', '\u0008', '\u000b', '\u000c', '\u001a', '\u001b[2J', '\u007f', '\u0080', '\u0085', '\u009f'],
  ...[BOM, BOM + BOM, `\n${BOM}`, '\ufffe', '\uffff', '\ufffd'],
  ...['\u2028', '\u2029', '\u00a0', '\u200b', '\u200f', '\u202e'],
  ...['data: x', 'data:', 'data', 'id: 1', 'id\0', 'retry: 1', 'event: x', ': comment'],
  '\n\nevent: hub.gap\ndata: {}\n\n',
  ...['"', '\\', '\\u0000', "'", '\\n', '%0A', '&#10;', '<!--', '{"data":"x"}', 'null', '$1', '__proto__'],
]

/** Halves of surrogate pairs; two of them side by side may form a whole pair. */
const halves = ['\ud800', '\udbff', '\udc00', '\udfff', '\ud83d', '\ude00']

const anything = fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 8 }))
const joined = (piece: fc.Arbitrary<string>, maxLength: number) =>
  fc.array(piece, { maxLength }).map((parts) => parts.join(''))

/** A text after its way through a stream, where every line end becomes LF (HTML, 9.2.6). */
export const toLines = (text: string) => text.replace(/\r\n?/g, '\n')

/** The bytes of an event of the topic `any` in the longer of its two forms, with the longest possible id. */
export function eventBytes({ data, event = 'message' }: Message): number {
  const lines = toLines(data)
  const plain = `data: ${lines.replaceAll('\n', '\ndata: ')}`
  const envelope = `data: ${JSON.stringify({ topic: 'any', event, data: lines, time: new Date(0).toISOString() })}`
  const around = `event: ${event}\n\nid: ${'x'.repeat(64)}\n\n`
  return Buffer.byteLength(around) + Math.max(Buffer.byteLength(plain), Buffer.byteLength(envelope))
}

/** Repeats a unit until its event has this many bytes, and fills the rest with `x`. */
function long(unit: string, bytes: number): string {
  const [one, two] = [eventBytes({ data: unit.repeat(1000) }), eventBytes({ data: unit.repeat(2000) })]
  const data = unit.repeat(Math.floor(((bytes - 1000) / (two - one)) * 1000))
  return data + 'x'.repeat(bytes - eventBytes({ data }))
}

const units = ['x', 'é', '漢', '😀', '\n', '\r\n', '\0', '\u2028', ' \n', `${BOM}\n`, 'data: x\n', '\n\nid: 1\n\n']
const sizes = [MAX_EVENT_BYTES - 1, MAX_EVENT_BYTES, MAX_EVENT_BYTES + 1]

const text = fc.oneof(
  { weight: 60, arbitrary: joined(anything, 12) },
  { weight: 10, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
  { weight: 6, arbitrary: joined(fc.oneof(anything, fc.constantFrom(...halves)), 6) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...units),
        fc.oneof(
          fc.constantFrom(...sizes, 2 ** 16),
          fc.integer({ min: MAX_EVENT_BYTES - 100, max: MAX_EVENT_BYTES + 100 }),
        ),
      )
      .map(([unit, bytes]) => long(unit, bytes)),
  },
)

const names = [
  ...['message', 'Message', 'said', 'x y', ' lead', '  lead', 'trail ', ' ', 'a:b', ':', '::', 'data', 'id', 'retry'],
  ...['Open', 'ERROR', 'opened', 'hub', 'hubs.x', 'HUB.gap', ' hub.x', `${BOM}hub.gap`],
  ...['é', 'e\u0301', '😀', '漢', '\u2028', '\u00a0', '\u200b', '\uffff', BOM, `${BOM}said`, `said${BOM}`],
  ...['__proto__', 'constructor', 'toString', 'undefined', 'null', '*', '"', '\\', '<b>'],
  ...['x'.repeat(MAX_NAME_BYTES), 'é'.repeat(MAX_NAME_BYTES / 2), '😀'.repeat(MAX_NAME_BYTES / 4)],
  // Invalid names.
  ...['', 'open', 'error', 'hub.', 'hub.x', 'hub.gap', 'hub.open', '\ud800', 'said\udc00'],
  ...['a\nb', 'a\rb', '\r\n', 'a\0b', '\t', '\u001f', '\u007f', '\u0080', 'a\u0085', '\u009f'],
  ...['x'.repeat(MAX_NAME_BYTES + 1), 'é'.repeat(MAX_NAME_BYTES / 2 + 1), `${'😀'.repeat(MAX_NAME_BYTES / 4)}x`],
]

const name = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(...names) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }) },
)

/** Each awkward text by itself, at the beginnings and the ends of lines, and at the limits; the same in every run. */
export const examples: readonly Message[] = [
  { data: 'the first' },
  ...pieces.flatMap((piece) => [piece, `${piece}${piece}x\n${piece}${piece}\nx${piece}`]).map((data) => ({ data })),
  ...halves.map((half) => ({ data: `x${half}` })),
  ...units.flatMap((unit) => sizes.map((bytes) => ({ data: long(unit, bytes) }))),
  ...names.map((event) => ({ data: 'named', event })),
]

/** Random messages, the same for the same `SEED`. */
export function randomMessages(count: number): Message[] {
  // From a pool of names, because some clients need a listener for each name.
  const pool = fc.sample(name, { seed, numRuns: runs(100, 1000) })
  const message = fc.record({ data: text, event: fc.constantFrom(...pool) }, { requiredKeys: ['data'] })
  return fc.sample(message, { seed, numRuns: count })
}
