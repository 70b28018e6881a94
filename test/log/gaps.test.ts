import { describe, expect, test } from 'vitest'
import { Gaps } from '../../src/log/gaps.ts'
import type { Tables } from '../../src/log/tables.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn, Turns } from '../../src/turn.ts'

const TOPICS = 100_000

/** Serves trimmed topics in pages, and counts the topics that have been looked at. */
function trimmed(now?: () => number, topics = TOPICS): { gaps: Gaps; looked: () => number } {
  let looked = 0
  const trimmedAfter = function* (_: number, page: number) {
    looked = 0
    for (let i = 0; i < topics; i++) {
      if (i === looked) looked = Math.min(looked + page, topics)
      yield { topic: `t/${i}`, trimmed: i + 1 }
    }
  }
  const tables: Pick<Tables, 'trimmedAfter' | 'newestTrimmedFirst' | 'topic'> = {
    trimmedAfter,
    newestTrimmedFirst: false,
    topic: () => undefined,
  }
  return { gaps: new Gaps(tables as Tables, new Turns(), now), looked: () => looked }
}

describe('the search for trimmed topics of a pattern', () => {
  test('looks at fewer topics in a turn when there are more patterns', async () => {
    for (const [patterns, most] of [
      [1, 1000],
      [100, 100],
    ] as const) {
      const { gaps, looked } = trimmed()
      const filter = Filter.parse(Array.from({ length: patterns }, (_, i) => `none/${i}/*`))
      gaps.learn(filter, 0, () => false)
      expect(looked()).toBeLessThanOrEqual(most)
      for (let turns = 1; turns < 5; turns++) {
        await nextTurn()
        expect(looked()).toBeLessThanOrEqual((turns + 1) * most)
      }
    }
  })

  test('stops when every reader waiting for it has gone, and starts again for the next reader', async () => {
    const { gaps, looked } = trimmed()
    const filter = Filter.parse(['t/*'])
    const gone = new Set<string>()
    const searches = ['one', 'other'].map((name) => gaps.learn(filter, 0, () => gone.has(name)))
    gone.add('one')
    await nextTurn()
    await nextTurn()
    expect(looked()).toBeGreaterThan(500)
    gone.add('other')
    await Promise.all(searches)
    expect(looked()).toBeLessThan(TOPICS / 10)
    expect(gaps.knows(filter, 0)).toBe(false)
    await gaps.learn(filter, 0, () => false)
    expect(gaps.knows(filter, 0)).toBe(true)
    expect(gaps.last(filter)).toBe(TOPICS)
  })

  test('shares one result among equal filters, keeps at most 100 results up to date, and drops each some time after its last use', async () => {
    let now = 0
    const { gaps } = trimmed(() => now)
    let compared = 0
    const ask = (name: string) => {
      const matches = () => ++compared < 0
      return gaps.learn(Object.defineProperty(Filter.parse([name]), 'matches', { value: matches }), TOPICS, () => false)
    }
    const note = () => {
      compared = 0
      gaps.note('t/x', TOPICS + 1)
      return compared
    }
    for (let reader = 0; reader < 20; reader++) await ask('none/*')
    expect(note()).toBe(1)
    for (let reader = 0; reader < 150; reader++) await ask(`none/${reader}/*`)
    expect(note()).toBe(100)
    now = 60_000
    expect([note(), note()]).toEqual([0, 0])
  })

  test('keeps the result of a filter whose readers still read, and drops those that were not used for longest', async () => {
    const { gaps } = trimmed(undefined, 1)
    const [read, unread] = ['read/*', 'unread/*'].map((name) => Filter.parse([name])) as [Filter, Filter]
    const learn = (filter: Filter) => gaps.learn(filter, 1, () => false)
    await learn(read)
    await learn(unread)
    for (let reader = 0; reader < 99; reader++) {
      expect(gaps.knows(read, 1)).toBe(true)
      await learn(Filter.parse([`none/${reader}/*`]))
    }
    expect([read, unread].map((filter) => gaps.knows(filter, 1))).toEqual([true, false])
  })
})
