import { expect, test } from 'vitest'
import { Sweeps } from '../../src/adapters/sweeps.ts'

function timeouts(sweeps: Sweeps, count: number, now: number): number[] {
  return Array.from({ length: count }, () => sweeps.nextTimeout(now))
}

test('connections that are cut one by one are closed at the next check of Bun', () => {
  const sweeps = new Sweeps()
  for (let now = 0; now < 60_000; now += 10) expect(sweeps.nextTimeout(now)).toBe(1)
})

test('thousands of connections that are cut at once are spread over four checks of Bun, of which the last closes all that are left', () => {
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
