import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Frame } from '../../src/hub/frame.ts'
import { Window } from '../../src/hub/window.ts'
import { Filter } from '../../src/topic.ts'
import { runs, seed } from '../seed.ts'

const TOPICS = ['a', 'b', 'c/1', 'c/2']

const frame = (topic: string, seq: number, says = true) =>
  new Frame({ topic, seq, time: 0, ...(says ? { data: '' } : { close: true }) }, 'e')

/** The seqs of all frames after a position, taken chunk by chunk. */
function taken(window: Window, after: number, names: readonly string[], latest: boolean, maxBytes: number) {
  const seqs: number[] = []
  let text = ''
  for (let at = after; at < window.head; ) {
    const chunk = window.chunk(at, { filter: Filter.parse(names), latest, envelope: false, control: true }, maxBytes)
    expect(chunk.to).toBeGreaterThan(at)
    expect(chunk.full || chunk.to === window.head).toBe(true)
    text += new TextDecoder().decode(chunk.bytes)
    at = chunk.to
  }
  for (const [, seq] of text.matchAll(/^id: e-(\d+)$/gm)) seqs.push(Number(seq))
  return seqs
}

/** The seqs that `taken` must return, found by a scan of all frames. */
function wanted(frames: readonly Frame[], after: number, names: readonly string[], latest: boolean): number[] {
  const filter = Filter.parse(names)
  const due = frames.filter(({ seq, topic }) => seq > after && filter.matches(topic))
  const isStanding = ({ topic, seq }: Frame) =>
    due.every((one) => one.topic !== topic || one.seq <= seq || !one.hasData)
  return (latest ? due.filter(isStanding) : due).map(({ seq }) => seq)
}

test('a window returns exactly the frames that a scan of all its frames finds', () => {
  const said = fc.record({ topic: fc.constantFrom(...TOPICS), says: fc.boolean() })
  const names = fc.subarray([...TOPICS, 'c/*', '**', 'none'], { minLength: 1 })
  const property = fc.property(
    ...[fc.array(said, { maxLength: 60, size: 'max' }), names, fc.boolean()],
    ...[fc.integer({ min: 1, max: 40 }), fc.nat(60), fc.integer({ min: 1, max: 200 })],
    (all, names, latest, maxCount, back, maxBytes) => {
      const window = new Window(7, maxCount, 1e6)
      // Only the last frame of a topic may close it.
      const isLast = (i: number) => all.findLastIndex(({ topic }) => topic === all[i]!.topic) === i
      const frames = all.map(({ topic, says }, i) => frame(topic, 8 + i, says || !isLast(i)))
      for (const one of frames) window.push(one)
      expect(window.floor).toBe(7 + Math.max(0, all.length - maxCount))
      const after = Math.max(window.floor, window.head - back)
      expect(taken(window, after, names, latest, maxBytes)).toEqual(wanted(frames, after, names, latest))
    },
  )
  fc.assert(property, { seed, numRuns: runs(300, 30_000) })
})

test('a chunk is exactly the bytes of its frames, in any script, also when other chunks came before', () => {
  const window = new Window(0, 100, 1000)
  const all = ['a', 'é', '→', '😀', '']
  for (const [i, data] of all.entries()) window.push(new Frame({ seq: i + 1, topic: 'a', time: 0, data }, 'e'))
  const said = (from: number, to: number) =>
    all
      .map((data, i) => `data: ${data}\nid: e-${i + 1}\n\n`)
      .slice(from, to)
      .join('')
  const chunk = (after: number, bytes: number) =>
    new TextDecoder().decode(
      window.chunk(after, { filter: Filter.parse(['a']), latest: false, envelope: false, control: true }, bytes).bytes,
    )
  expect(chunk(1, 20)).toBe(said(1, 2))
  expect(chunk(0, 1000)).toBe(said(0, 5))
  expect(chunk(1, 40)).toBe(said(1, 3))
})

test('one call with a pattern compares at most 500 frames, wherever the next match is', () => {
  const window = new Window(0, 10_000, 1e6)
  for (let seq = 1; seq <= 2500; seq++) window.push(frame('other', seq))
  window.push(frame('c/1', 2501))
  const look = (after: number) =>
    window.chunk(after, { filter: Filter.parse(['c/*']), latest: false, envelope: false, control: true }, 100)
  expect(look(0)).toEqual({ to: 500, sent: 500, count: 0, full: true, closes: [] })
  expect(look(1600)).toMatchObject({ to: 2100, full: true })
  expect(look(2100)).toMatchObject({ to: 2501, sent: 2501, full: false })
})

test('a window begins after a hole in the seqs, so that readers before the hole read the log', () => {
  const window = new Window(0, 100, 1000)
  for (const seq of [1, 2, 5, 6]) window.push(frame('a', seq))
  expect([window.floor, window.head]).toEqual([4, 6])
  expect(taken(window, 4, ['a'], false, 100)).toEqual([5, 6])
})

test('a chunk names the last frame before its end that was skipped for a newer one, not one after its end', () => {
  const window = new Window(0, 100, 1000)
  for (const [i, topic] of ['a', 'a', 'b', 'b'].entries()) window.push(frame(topic, i + 1))
  const chunk = (after: number, maxBytes: number) =>
    window.chunk(after, { filter: Filter.parse(['a', 'b']), latest: true, envelope: false, control: true }, maxBytes)
  expect(chunk(0, 10)).toMatchObject({ to: 2, conflated: 1 })
  expect(chunk(2, 10)).toMatchObject({ to: 4, conflated: 3 })
  expect(chunk(0, 1000)).toMatchObject({ to: 4, conflated: 3 })
})

test('the bytes of envelopes count towards the bound of a window, however often and whenever they are made', () => {
  const plain = { filter: Filter.parse(['a']), latest: false, envelope: false, control: true }
  const enveloped = { ...plain, envelope: true, control: true }
  const window = new Window(0, 100, 1000)
  const frames = Array.from(
    { length: 10 },
    (_, i) => new Frame({ topic: 'a', seq: i + 1, time: 0, data: 'x'.repeat(50) }, 'e'),
  )
  for (const one of frames) window.push(one)
  window.chunk(0, plain, 1e6)
  expect([window.floor, frames[9]!.weight]).toEqual([0, 51])
  const length = frames[9]!.length(enveloped)
  expect(frames[9]!.weight).toBe(51 + length)
  window.chunk(8, enveloped, 1e6)
  window.chunk(8, enveloped, 1e6)
  expect(window.floor).toBe(0)
  // Ten frames of 51 bytes and their envelopes exceed 1,000 bytes: the oldest frames go.
  window.chunk(0, enveloped, 1e6)
  const kept = frames.filter(({ seq }) => seq > window.floor)
  expect(kept.reduce((sum, { weight }) => sum + weight, 0)).toBeLessThanOrEqual(1000)
  expect(kept).toHaveLength(Math.floor(1000 / (51 + length)))
  // The envelope of a frame that was dropped no longer counts.
  const { floor } = window
  frames[0]!.bytes(enveloped)
  window.push(new Frame({ topic: 'b', seq: 11, time: 0, data: '' }, 'e'))
  expect(window.floor).toBe(floor)
})
