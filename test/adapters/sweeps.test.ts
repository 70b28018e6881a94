import { expect, test } from 'vitest'
import { Sweeps } from '../../src/adapters/sweeps.ts'

function timeouts(sweeps: Sweeps, count: number, now: number): number[] {
  return Array.from({ length: count }, () => sweeps.nextTimeout(now))
}

test('a few that are cut are gone at the next look of Bun', () => {
  const sweeps = new Sweeps()
  for (let now = 0; now < 60_000; now += 10) expect(sweeps.nextTimeout(now)).toBe(1)
})

test('thousands that are cut at once share four looks, of which the last takes all that are left', () => {
  const sweeps = new Sweeps()
  const after = Map.groupBy(timeouts(sweeps, 6000, 1000), (seconds) => seconds)
  expect([...after].map(([seconds, those]) => [seconds, those.length])).toEqual([
    [1, 1250],
    [5, 1250],
    [9, 1250],
    [13, 2250],
  ])
  expect(sweeps.nextTimeout(1000 + 4000 * 3)).toBe(5)
  expect(sweeps.nextTimeout(1000 + 4000 * 4)).toBe(1)
})
