import { expect, test } from 'vitest'
import { Cuts } from '../../src/adapters/cuts.ts'

function cut(cuts: Cuts, count: number, now: number): number[] {
  return Array.from({ length: count }, () => cuts.next(now))
}

test('a few connections to cut are closed at the next timeout check of Bun', () => {
  const cuts = new Cuts()
  for (let now = 0; now < 60_000; now += 10) expect(cuts.next(now)).toBe(1)
})

test('thousands of connections to cut are spread over four timeout checks, of which the last takes the rest', () => {
  const cuts = new Cuts()
  const after = Map.groupBy(cut(cuts, 6000, 1000), (seconds) => seconds)
  expect([...after].map(([seconds, those]) => [seconds, those.length])).toEqual([
    [1, 1250],
    [5, 1250],
    [9, 1250],
    [13, 2250],
  ])
  expect(cuts.next(1000 + 4000 * 3)).toBe(5)
  expect(cuts.next(1000 + 4000 * 4)).toBe(1)
})
