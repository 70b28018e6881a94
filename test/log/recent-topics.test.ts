import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecentTopics } from '../../src/log/recent-topics.ts'
import type { TopicRow } from '../../src/log/tables.ts'
import { runs, seed } from '../seed.ts'

const name = fc.constantFrom('a', 'a/1', 'a/2', 'a/b/c', 'b', 'b/1', 'c', 'z'.repeat(190))
const row = fc.record({ count: fc.nat(2), bytes: fc.nat(9), trimmed: fc.nat(99), closed: fc.nat(1) })
const isShown = ({ count, closed }: TopicRow) => count > 0 || closed > 0
const byName = ([a]: [string, TopicRow], [b]: [string, TopicRow]) => (a < b ? -1 : 1)
const named = ([topic, rest]: [string, TopicRow]) => ({ topic, ...rest })

/** The rows of a table, in the order of names, as SQL fetches them. */
const select = (table: Map<string, TopicRow>, isIn: (name: string) => boolean, limit: number) =>
  [...table]
    .filter(([one, rest]) => isIn(one) && isShown(rest))
    .sort(byName)
    .slice(0, limit)
    .map(named)
const trimmed = (table: Map<string, TopicRow>, seq: number) =>
  [...table]
    .filter(([, one]) => one.trimmed > seq)
    .sort(([, a], [, b]) => b.trimmed - a.trimmed)
    .map(([topic, one]) => ({ topic, trimmed: one.trimmed }))

test('a table and its recent topics together list what one table with all rows would', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.tuple(name, row), fc.constant('store' as const))),
      fc.constantFrom('', 'a/', 'b'),
      fc.constantFrom('', 'a', 'a/1', 'b'),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(99),
      (steps, prefix, after, limit, seq) => {
        const all = new Map<string, TopicRow>()
        const stored = new Map<string, TopicRow>()
        let recent = RecentTopics.parse('[]')
        for (const step of steps) {
          recent = RecentTopics.parse(recent.copy().json)
          if (step === 'store') {
            for (const { topic, ...rest } of recent.take()) stored.set(topic, rest)
          } else {
            const [one, rest] = step
            const unique = { ...rest, trimmed: rest.trimmed && rest.trimmed * 100 + all.size }
            recent.set(one, unique)
            all.set(one, unique)
          }
        }
        const isIn = (one: string) => one > after && one.startsWith(prefix)
        expect(recent.page((asked) => select(stored, isIn, asked), isIn, limit)).toEqual(select(all, isIn, limit))
        const found = [...recent.trimmedAfter(seq, trimmed(stored, seq))]
        const expected = trimmed(all, seq)
        expect(found.map((one) => one.trimmed)).toEqual(expected.map((one) => one.trimmed))
        expect(new Set(found.map(({ topic }) => topic))).toEqual(new Set(expected.map(({ topic }) => topic)))
        for (const [one, rest] of all) expect(recent.get(one) ?? stored.get(one)).toEqual(rest)
      },
    ),
    { seed, numRuns: runs(1000, 50_000) },
  )
})

test('recent topics are full above 2 KiB, and a copy changes nothing of the original', () => {
  const recent = RecentTopics.parse('[]')
  for (let i = 0; !recent.isFull; i++) {
    const copy = recent.copy()
    copy.set(`topic/${i}`, { count: 1, bytes: 1, trimmed: 0, closed: 0 })
    expect(recent.get(`topic/${i}`)).toBeUndefined()
    expect(recent.json.length).toBeLessThanOrEqual(2048 + 100)
    recent.set(`topic/${i}`, { count: 1, bytes: 1, trimmed: 0, closed: 0 })
  }
  expect(recent.json.length).toBeGreaterThan(2048)
  expect(recent.take().length).toBeGreaterThan(50)
  expect([recent.json, recent.isFull]).toEqual(['[]', false])
})

test('a page is full although topics that the table still shows have been emptied', () => {
  const shownRow = { count: 1, bytes: 1, trimmed: 0, closed: 0 }
  const stored = new Map(['a', 'b', 'c', 'd'].map((one) => [one, shownRow]))
  const recent = RecentTopics.parse('[]')
  for (const one of ['a', 'b']) recent.set(one, { count: 0, bytes: 0, trimmed: 1, closed: 0 })
  const page = recent.page(
    (asked) => select(stored, () => true, asked),
    () => true,
    2,
  )
  expect(page.map(({ topic }) => topic)).toEqual(['c', 'd'])
})
