import { expect, test } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { Group } from '../../src/hub/interests.ts'
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

test('the newest shared chunks are kept, up to a total number of bytes', () => {
  const shared = new SharedChunks()
  const groups = Array.from({ length: 20 }, () => new Group({ filter: Filter.parse(['a']), latest: false }))
  const chunk = () => ({ bytes: new Uint8Array(MIB), to: 1, sent: 1, count: 1, full: false, closes: [] })
  for (const group of groups) shared.keep(group, 0, chunk())
  for (const group of groups.slice(-1)) for (let i = 0; i < 20; i++) shared.keep(group, 0, chunk())
  const kept = groups.map((group) => shared.get(group, 0) !== undefined)
  expect(kept).toEqual(groups.map((_, i) => i >= 20 - 7))
  expect(shared.get(groups[19]!, 1)).toBeUndefined()
})
