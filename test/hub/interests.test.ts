import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Interests } from '../../src/hub/interests.ts'
import { Filter } from '../../src/topic.ts'
import { runs, seed } from '../seed.ts'

const word = fc.constantFrom('a', 'b', 'c')
const topic = fc
  .tuple(fc.boolean(), fc.array(word, { minLength: 1, maxLength: 4 }))
  .map(([own, segments]) => (own ? '$' : '') + segments.join('/'))
const pattern = fc
  .tuple(fc.array(fc.oneof(word, fc.constant('*')), { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([segments, rest]) => [...segments, ...(rest ? ['**'] : [])].join('/'))
const filter = fc.array(fc.oneof(topic, pattern), { minLength: 1, maxLength: 4 }).map((names) => Filter.parse(names))

test('a topic concerns exactly the groups whose filter matches it, also after others have left', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.record({ filter, latest: fc.boolean(), envelope: fc.boolean(), control: fc.boolean() }),
          fc.boolean(),
        ),
        {
          maxLength: 20,
        },
      ),
      fc.array(topic, { minLength: 1 }),
      (readers, topics) => {
        const interests = new Interests()
        const joined = readers.map(([wanted, stays]) => ({ group: interests.join(wanted), stays }))
        for (const { group } of joined.filter(({ stays }) => !stays)) interests.leave(group)
        const staying = new Set(joined.filter(({ stays }) => stays).map(({ group }) => group))
        const concernedBy = (topics: readonly string[]) =>
          new Set([...staying].filter(({ selection }) => topics.some((topic) => selection.filter.matches(topic))))
        expect(interests.concerned(topics)).toEqual(concernedBy(topics))
        for (const given of topics) {
          const concerned = interests.concerned([given])
          expect(concerned).toEqual(concernedBy([given]))
          const readers = joined.filter(({ stays, group }) => stays && concerned.has(group))
          expect(interests.readers(given)).toBe(readers.length)
        }
      },
    ),
    { seed, numRuns: runs(300, 20_000) },
  )
})

test('readers with equal filters share one group; with latest=true or envelope=true they share another', () => {
  const interests = new Interests()
  const join = (latest: boolean, ...names: string[]) =>
    interests.join({ filter: Filter.parse(names), latest, envelope: false, control: true })
  const enveloped = () =>
    interests.join({ filter: Filter.parse(['a', 'b/*']), latest: false, envelope: true, control: true })
  expect(join(false, 'a', 'b/*')).toBe(join(false, 'b/*', 'a'))
  expect(join(true, 'a', 'b/*')).toBe(join(true, 'b/*', 'a'))
  expect(join(true, 'a', 'b/*')).not.toBe(join(false, 'b/*', 'a'))
  expect(enveloped()).toBe(enveloped())
  expect(enveloped()).not.toBe(join(false, 'a', 'b/*'))
})
