import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Frame } from '../../src/hub/frame.ts'
import { longestFrame } from '../../src/hub/frame-length.ts'
import { Hub } from '../../src/hub/hub.ts'
import { parseMessage } from '../../src/hub/message.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Filter } from '../../src/topic.ts'
import { Reader } from '../reader.ts'
import { seed } from '../seed.ts'

const limits = { maxEventBytes: 64_512, maxTopicBytes: 200, maxTopicSegments: 10, maxTopics: 1 }
const EPOCH = 'e'.repeat(40)

test.each([
  ['one line', 'x', 'data: {"topic":"a","event":"message","data":"x","time":"2026-01-01T00:00:00.000Z"}\n'],
  [
    'escapes',
    '"\u0001',
    'data: {"topic":"a","event":"message","data":"\\"\\u0001","time":"2026-01-01T00:00:00.000Z"}\n',
  ],
  ['many lines', '\n'.repeat(100), 'data: \n'.repeat(101)],
])('an event with %s counts in its longest form, with the default name and the longest id', (_, data, longest) => {
  const around = `event: message\nid: ${'x'.repeat(64)}\n\n`
  expect(longestFrame({ topic: 'a', data })).toBe(around.length + longest.length)
})

test('no frame is longer than what was counted before it was published', () => {
  const piece = fc.constantFrom('\n', '"', '\\', '\u0001', 'x', '\u00e9', '\u6f22', '\u{1f600}')
  const content = fc.record(
    {
      data: fc.array(piece, { maxLength: 300 }).map((pieces) => pieces.join('')),
      event: fc.constantFrom('tick', '"'.repeat(200)),
      retry: fc.constantFrom(500, 3_600_000),
    },
    { requiredKeys: ['data'] },
  )
  const holds = (given: { data: string; event?: string; retry?: number }) => {
    const message = parseMessage({ topic: 'a', ...given }, limits)
    const frame = new Frame({ ...message, seq: 999_999_999_999_999, time: 0 }, EPOCH)
    for (const envelope of [false, true])
      expect(frame.bytes({ envelope, control: true }).byteLength).toBeLessThanOrEqual(longestFrame(message))
  }
  fc.assert(fc.property(content, holds), { seed, numRuns: 300 })
})

test('what is refused says what was counted', () => {
  const publish = () => parseMessage({ topic: 'a', data: 'short\n'.repeat(9000) }, limits)
  expect(publish).toThrow(/^Cannot publish an event of 108092 bytes: at most 64512 .* 54000 bytes of data .*\(9001\)/)
})

test('an event that was stored before the limit is delivered, however long it is', async () => {
  const log = memoryLog()
  const data = 'x'.repeat(100_000)
  await log.append([{ topic: 'a', data }])
  const hub = new Hub(() => log)
  const reader = new Reader().follow((await hub.subscribe(Filter.parse(['a']), { from: 'earliest' }))!)
  await reader.gets(data)
  await hub.close()
})
