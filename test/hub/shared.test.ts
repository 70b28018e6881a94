import { expect, onTestFinished, test, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { Group } from '../../src/hub/interests.ts'
import type { SubscribeOptions } from '../../src/hub/options.ts'
import { SharedChunks } from '../../src/hub/shared.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Filter } from '../../src/topic.ts'

const MIB = 1024 ** 2

test('readers with equal filters at the same position get the very same chunk, and then nothing more', async () => {
  const hub = new Hub(memoryLog)
  const readers = await Promise.all(Array.from({ length: 5 }, () => hub.subscribe(Filter.parse(['a', 'b/*']))))
  for (const reader of readers) while (reader!.read());
  for (const said of [['1', '2'], ['3']]) {
    await hub.publish(said.map((data) => ({ topic: 'a', data })))
    const chunks = readers.map((reader) => {
      const chunk = reader!.read()
      expect(reader!.read()).toBeUndefined()
      return chunk
    })
    expect(chunks[0]!.byteLength).toBeGreaterThan(0)
    for (const chunk of chunks) expect(chunk).toBe(chunks[0])
  }
  await hub.close()
})

test.each([
  ['one form', [{}], 1],
  ['two forms', [{}, { envelope: true }], 2],
  ['two forms that differ only in closes', [{}, { control: false }], 1],
  ['all forms', [{}, { envelope: true }, { control: false }, { envelope: true, control: false }], 2],
] satisfies [string, SubscribeOptions[], number][])(
  '1,000 readers of %s share as many encodings of an entry, whatever their filters',
  async (_, forms, encodings) => {
    const hub = new Hub(memoryLog)
    onTestFinished(() => hub.close())
    const filters = [['a'], ['a', 'b'], ['*']].map((names) => Filter.parse(names))
    const readers = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => hub.subscribe(filters[i % 3]!, forms[Math.floor(i / 3) % forms.length]!)),
    )
    for (const reader of readers) while (reader!.read());
    const encode = vi.spyOn(TextEncoder.prototype, 'encode')
    const encodeInto = vi.spyOn(TextEncoder.prototype, 'encodeInto')
    onTestFinished(() => void vi.restoreAllMocks())
    const framesOf = (calls: unknown[][]) => calls.filter(([text]) => /^(event|data): /.test(text as string))
    await hub.publish([{ topic: 'a', data: 'one' }])
    const chunks = readers.map((reader) => reader!.read()!)
    expect(framesOf([...encode.mock.calls, ...encodeInto.mock.calls])).toHaveLength(encodings)
    expect(new Set(chunks).size).toBe(encodings)
    expect(readers.every((reader) => reader!.read() === undefined)).toBe(true)

    // A batch is one chunk for each filter and form; its frames are encoded in no other form.
    encode.mockClear()
    encodeInto.mockClear()
    await hub.publish(['two', 'three'].map((data) => ({ topic: 'a', data })))
    expect(new Set(readers.map((reader) => reader!.read()!)).size).toBe(3 * forms.length)
    const texts = framesOf([...encode.mock.calls, ...encodeInto.mock.calls]).map(([text]) => text as string)
    expect(new Set(texts).size).toBe(2 * encodings)
    expect(texts.filter((text) => text.includes('"topic"'))).toHaveLength(2 * (encodings - 1))

    // The frame of a close holds no control event for those who want none.
    await hub.publish([{ topic: 'a', data: 'four', close: true }])
    const closes = readers.map((reader) => new TextDecoder().decode(reader!.read()!))
    for (const [i, text] of closes.entries())
      expect(text.includes('event: hub.closed')).toBe(forms[Math.floor(i / 3) % forms.length]!.control !== false)
  },
)

test('the newest shared chunks are kept, up to a total number of bytes', () => {
  const shared = new SharedChunks()
  const groups = Array.from(
    { length: 20 },
    () => new Group({ filter: Filter.parse(['a']), latest: false, envelope: false, control: true }),
  )
  const chunk = () => ({ bytes: new Uint8Array(MIB), to: 1, sent: 1, count: 1, full: false, closes: [] })
  for (const group of groups) shared.keep(group, 0, chunk())
  for (const group of groups.slice(-1)) for (let i = 0; i < 20; i++) shared.keep(group, 0, chunk())
  const kept = groups.map((group) => shared.get(group, 0) !== undefined)
  expect(kept).toEqual(groups.map((_, i) => i >= 20 - 7))
  expect(shared.get(groups[19]!, 1)).toBeUndefined()
})
