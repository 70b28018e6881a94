import { createParser, type EventSourceMessage } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  encodeBareEnding,
  encodeControl,
  encodeEnding,
  encodeOpening,
  encodeRepeat,
  Frame,
  HEARTBEAT,
} from '../../src/hub/frame.ts'
import type { Entry } from '../../src/log/log.ts'
import { runs, seed } from '../seed.ts'

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const entry = (more: Partial<Entry>): Entry => ({ topic: 'a', data: 'x', seq: 7, time: 0, ...more })
const plain = { envelope: false, control: true }
const enveloped = { envelope: true, control: true }
const frame = (more: Partial<Entry>, form = plain) => text(new Frame(entry(more), 'e').bytes(form))

function parse(bytes: string): { events: EventSourceMessage[]; retries: number[] } {
  const events: EventSourceMessage[] = []
  const retries: number[] = []
  const parser = createParser({ onEvent: (event) => events.push(event), onRetry: (retry) => retries.push(retry) })
  parser.feed(bytes)
  return { events, retries }
}

describe('the bytes of a frame:', () => {
  test.each<[string, Partial<Entry>, string]>([
    ['the default event has no event line', {}, 'data: x\nid: e-7\n\n'],
    [
      'the event name comes first and the id last',
      { event: 'tick', retry: 1000 },
      'event: tick\ndata: x\nretry: 1000\nid: e-7\n\n',
    ],
    ['empty data is one empty data line', { data: '' }, 'data: \nid: e-7\n\n'],
    ['a space at the start of data is kept', { data: ' x' }, 'data:  x\nid: e-7\n\n'],
    ['LF, CRLF and CR each end a line', { data: 'a\nb\r\nc\rd' }, 'data: a\ndata: b\ndata: c\ndata: d\nid: e-7\n\n'],
    ['a line end at the end of data is kept', { data: 'a\n' }, 'data: a\ndata: \nid: e-7\n\n'],
    ['data that looks like fields stays data', { data: 'id: 9\nevent: x' }, 'data: id: 9\ndata: event: x\nid: e-7\n\n'],
    ['text beyond ASCII is unchanged, also U+2028', { data: 'é😀\u2028' }, 'data: é😀\u2028\nid: e-7\n\n'],
    [
      'an entry of $store has a name and JSON data',
      { topic: '$store', data: 'h"i', time: Date.parse('2026-11-23T10:00:00Z') },
      'event: message\ndata: {"message":"h\\"i","timestamp":"2026-11-23T10:00:00.000Z"}\nid: e-7\n\n',
    ],
    [
      'a close with data',
      { close: true },
      'data: x\nid: e-7\n\nevent: hub.closed\ndata: {"topic":"a","outcome":"done"}\nid: e-7\n\n',
    ],
  ])('%s', (_, more, bytes) => {
    expect(frame(more)).toBe(bytes)
  })

  test('a close without data is only hub.closed', () => {
    const bytes = text(new Frame({ topic: 'a', close: true, seq: 7, time: 0 }, 'e').bytes(plain))
    expect(bytes).toBe('event: hub.closed\ndata: {"topic":"a","outcome":"done"}\nid: e-7\n\n')
  })

  test.each<[string, Partial<Entry>, string]>([
    [
      'the default event',
      {},
      'data: {"topic":"a","event":"message","data":"x","time":"1970-01-01T00:00:00.000Z"}\nid: e-7\n\n',
    ],
    [
      'the event name, retry and id stay as they are',
      { event: 'tick', retry: 1000, topic: 'b/c' },
      'event: tick\ndata: {"topic":"b/c","event":"tick","data":"x","time":"1970-01-01T00:00:00.000Z"}\nretry: 1000\nid: e-7\n\n',
    ],
    [
      'data is a string of one line, whatever it looks like',
      { data: 'id: 9\n\nevent: x\n{"a":"é"}', time: Date.parse('2026-11-23T10:00:00.123Z') },
      'data: {"topic":"a","event":"message","data":"id: 9\\n\\nevent: x\\n{\\"a\\":\\"é\\"}","time":"2026-11-23T10:00:00.123Z"}\nid: e-7\n\n',
    ],
    [
      'the data of $store is the JSON of its frame',
      { topic: '$store', data: 'hi' },
      'event: message\ndata: {"topic":"$store","event":"message","data":"{\\"message\\":\\"hi\\",\\"timestamp\\":\\"1970-01-01T00:00:00.000Z\\"}","time":"1970-01-01T00:00:00.000Z"}\nid: e-7\n\n',
    ],
    [
      'hub.closed has no envelope',
      { close: true },
      'data: {"topic":"a","event":"message","data":"x","time":"1970-01-01T00:00:00.000Z"}\nid: e-7\n\nevent: hub.closed\ndata: {"topic":"a","outcome":"done"}\nid: e-7\n\n',
    ],
  ])('an envelope: %s', (_, more, bytes) => {
    const made = new Frame(entry(more), 'e')
    expect(text(made.bytes(enveloped))).toBe(bytes)
    // The envelope is the same when the frame was encoded as published before.
    const later = new Frame(entry(more), 'e')
    expect(text(later.bytes(plain))).toBe(frame(more))
    expect(text(later.bytes(enveloped))).toBe(bytes)
    expect(text(made.bytes(plain))).toBe(frame(more))
    expect([made.length(plain), made.length(enveloped)]).toEqual(
      [plain, enveloped].map((f) => later.bytes(f).byteLength),
    )
  })

  test('a close without data has no envelope', () => {
    const bytes = text(new Frame({ topic: 'a', close: true, seq: 7, time: 0 }, 'e').bytes(enveloped))
    expect(bytes).toBe('event: hub.closed\ndata: {"topic":"a","outcome":"done"}\nid: e-7\n\n')
  })

  test('a repeat has no id', () => {
    expect(text(encodeRepeat(entry({ event: 'tick' }), plain))).toBe('event: tick\ndata: x\n\n')
    expect(text(encodeRepeat(entry({ event: 'tick' }), enveloped))).toBe(
      'event: tick\ndata: {"topic":"a","event":"tick","data":"x","time":"1970-01-01T00:00:00.000Z"}\n\n',
    )
  })

  test('the opening, the heartbeat, the ending and a control event are exactly these', () => {
    expect(text(encodeOpening(3000))).toBe(':\nretry: 3000\n')
    expect(text(HEARTBEAT)).toBe(':\n')
    expect(text(encodeEnding(1234))).toBe('event: hub.ending\ndata: {}\nretry: 1234\n\n')
    expect(text(encodeBareEnding(1234))).toBe('retry: 1234\n')
    expect(text(encodeControl('checkpoint', {}, 'e-9'))).toBe('event: hub.checkpoint\ndata: {}\nid: e-9\n\n')
  })
})

test('a public parser returns the data, event name and retry that were published; only line ends become LF', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 200 }).filter((s) => s.isWellFormed()),
      fc.option(fc.stringMatching(/^[a-z][a-z. -]{0,20}[a-z]$/), { nil: undefined }),
      fc.option(fc.integer({ min: 500, max: 3_600_000 }), { nil: undefined }),
      (data, event, retry) => {
        const bytes = frame({ data, ...(event !== undefined && { event }), ...(retry !== undefined && { retry }) })
        const { events, retries } = parse(bytes)
        expect(events).toEqual([{ data: data.replace(/\r\n|\r/g, '\n'), id: 'e-7', event }])
        expect(retries).toEqual(retry === undefined ? [] : [retry])
        const [wrapped] = parse(frame({ data, ...(event !== undefined && { event }) }, enveloped)).events
        expect(JSON.parse(wrapped!.data)).toEqual({
          topic: 'a',
          event: event ?? 'message',
          data: events[0]!.data,
          time: '1970-01-01T00:00:00.000Z',
        })
      },
    ),
    { seed, numRuns: runs(1000, 100_000) },
  )
})

test('a public parser reads the retry of an ending although no blank line follows', () => {
  expect(parse(`data: x\nid: e-1\n\n${text(encodeBareEnding(900))}`).retries).toEqual([900])
})
