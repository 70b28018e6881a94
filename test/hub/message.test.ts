import { describe, expect, test } from 'vitest'
import { parseMessage } from '../../src/hub/message.ts'
import { formatPosition, parsePosition } from '../../src/hub/position.ts'
import type { Message } from '../../src/log/log.ts'

const limits = { maxEventBytes: 267, maxTopicBytes: 10, maxTopicSegments: 3, maxTopics: 1 }
const parse = (more: Partial<Message>) => parseMessage({ topic: 'a', data: 'x', ...more }, limits)

describe('a message', () => {
  test('keeps what was published, without the default event name', () => {
    expect(parse({ event: 'message', retry: 500, key: 'k' })).toEqual({ topic: 'a', data: 'x', retry: 500, key: 'k' })
  })

  test.each<[string, Partial<Message>, string]>([
    ['a pattern as topic', { topic: 'a/*' }, 'topic_invalid'],
    ['a topic of 11 bytes', { topic: 'a/234567890' }, 'topic_too_long'],
    ["a topic of the hub's own", { topic: '$store' }, 'forbidden'],
    ['half of a surrogate pair', { data: 'a\ud800b' }, 'message_invalid'],
    ['data that makes its event longer than the limit by a byte', { data: `${'é'.repeat(50)}x` }, 'event_too_large'],
    ['an event name with a line end', { event: 'a\nb' }, 'event_invalid'],
    ['an event name with NUL', { event: 'a\u0000' }, 'event_invalid'],
    ['an event name with C1', { event: 'a\u0085' }, 'event_invalid'],
    ['an empty event name', { event: '' }, 'event_invalid'],
    ['an ill-formed event name', { event: '\udc00' }, 'event_invalid'],
    ['an event name of 201 bytes', { event: 'x'.repeat(201) }, 'event_invalid'],
    ['the event name open', { event: 'open' }, 'event_invalid'],
    ['the event name error', { event: 'error' }, 'event_invalid'],
    ['a reserved event name behind a byte order mark', { event: '\ufeffhub.gap' }, 'event_invalid'],
    ["an event name of the hub's own", { event: 'hub.gap' }, 'event_invalid'],
    ['a retry below its bound', { retry: 499 }, 'retry_invalid'],
    ['a retry above its bound', { retry: 3_600_001 }, 'retry_invalid'],
    ['a retry that is not a whole number', { retry: 1000.5 }, 'retry_invalid'],
    ['a retry that is not a number', { retry: Number.NaN }, 'retry_invalid'],
    ['an empty key', { key: '' }, 'key_invalid'],
    ['a key with a control character', { key: 'a\u0007' }, 'key_invalid'],
    ['a key of 201 bytes', { key: 'x'.repeat(201) }, 'key_invalid'],
  ])('is refused for %s', (_, more, code) => {
    expect(() => parse(more)).toThrow(expect.objectContaining({ code }))
  })

  test('gets LF for each of its line ends', () => {
    expect(parse({ data: '\r\na\rb\r\n\r\r\nc\n\r' }).data).toBe('\na\nb\n\n\nc\n\n')
  })

  test('may have an event of exactly maxEventBytes, counted in bytes', () => {
    expect(parse({ data: 'é'.repeat(50) }).data).toBe('é'.repeat(50))
  })

  test('needs data, unless it closes its topic', () => {
    expect(() => parseMessage({ topic: 'a' }, limits)).toThrow(expect.objectContaining({ code: 'data_missing' }))
    expect(parseMessage({ topic: 'a', close: true }, limits)).toEqual({ topic: 'a', close: true })
  })
})

describe('a position', () => {
  test('consists of an epoch and a seq', () => {
    expect(parsePosition(formatPosition('abc', 12))).toEqual({ epoch: 'abc', seq: 12 })
    expect(parsePosition('abc-0')).toEqual({ epoch: 'abc', seq: 0 })
  })

  test.each([
    '',
    '-',
    'abc',
    'abc-',
    '-1',
    'abc-01',
    'abc--1',
    'abc-1.5',
    'abc-1e3',
    'a b-1',
    'abc-1\n',
    'é-1',
    'abc-99999999999999999',
    `${'x'.repeat(64)}-1`,
    'abc-9007199254740993',
  ])('cannot be parsed from %j', (text) => {
    expect(parsePosition(text)).toBeUndefined()
  })
})
