import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memoryLog } from '../../src/log/memory.ts'
import { SortedNames } from '../../src/log/names.ts'
import { runs, seed } from '../seed.ts'

const name = fc
  .array(fc.constantFrom('a', 'b', 'c', '/', '~'), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join(''))

test('sorted names give the pages that a sorted list would give, after any additions and removals', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, fc.nat(2)), { maxLength: 2000, size: 'max' }),
      fc.array(fc.tuple(name, name, fc.integer({ min: 1, max: 700 })), { minLength: 1, maxLength: 5 }),
      (changes, pages) => {
        const names = new SortedNames()
        const model = new Set<string>()
        for (const [name, change] of changes) {
          if (change > 0) names.add(name)
          else names.delete(name)
          if (change > 0) model.add(name)
          else model.delete(name)
        }
        const sorted = [...model].sort()
        for (const [first, after, limit] of [...pages, ['', '', 5000] as const]) {
          const prefix = first.slice(0, 2)
          const expected = sorted.filter((name) => name > after && name.startsWith(prefix)).slice(0, limit)
          expect(names.page(prefix, after, limit)).toEqual(expected)
        }
      },
    ),
    { seed, numRuns: runs(50, 2000) },
  )
})

test('a page of the memory log looks at the names of the page, not at all names', async () => {
  const log = memoryLog()
  const topic = (n: number) => `${n % 2 ? 'odd' : 'even'}/${`${n}`.padStart(6, '0')}`
  const count = 20_000
  await log.append(Array.from({ length: count }, (_, n) => ({ topic: topic(n), data: 'x' })))
  let looked = 0
  const { startsWith } = String.prototype
  String.prototype.startsWith = function (...given) {
    looked++
    return startsWith.apply(this, given)
  }
  try {
    const page = await log.topics({ prefix: 'odd/', after: topic(9999), limit: 10 })
    expect(page.map((state) => state.topic)).toEqual(Array.from({ length: 10 }, (_, i) => topic(10_001 + 2 * i)))
  } finally {
    String.prototype.startsWith = startsWith
  }
  expect(looked).toBeLessThan(50)
  await log.close()
})
