import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isCacheBreaker, meantBy } from '../../src/routes/names.ts'
import { runs, seed } from '../seed.ts'

const ours = ['topic', 'lastEventId', 'from', 'last', 'since', 'latest', 'key']

test.each([
  ['case', 'TOPIC', 'topic'],
  ['- and _', 'last-event_id', 'lastEventId'],
  ['a letter that is added', 'topics', 'topic'],
  ['a letter that is left out', 'tpic', 'topic'],
  ['another letter', 'tobic', 'topic'],
  ['two letters that are swapped', 'form', 'from'],
  ['two letters of a name of five and more', 'tobik', 'topic'],
  ['the closest of two names', 'lates', 'latest'],
  ['the other of two names', 'lasst', 'last'],
])('a misspelt name is recognized in spite of %s: %s', (_, name, meant) => expect(meantBy(name, ours)).toBe(meant))

test.each([
  ['two letters of a name of four differ', 'lift'],
  ['two letters differ, and one is the first', 'test'],
  ['three letters of a long name differ', 'sinister'],
  ['it has one or two letters', 'la'],
  ['it is empty', ''],
  ['it is a cache breaker', 'date'],
])('a name is not taken for one of ours if %s', (_, name) => expect(meantBy(name, [...ours, 'data'])).toBeUndefined())

test('no cache breaker is taken for one of ours, however it is written', () => {
  const names = [
    '_',
    't',
    'ts',
    'r',
    'cb',
    'rand',
    'nocache',
    'time',
    '1700000000000',
    '0.123',
    'Cache-Buster',
    'no_cache',
  ]
  for (const name of names) expect([name, isCacheBreaker(name), meantBy(name, ours)]).toEqual([name, true, undefined])
  for (const name of ['id', 'of', 'topic', 'rander']) expect([name, isCacheBreaker(name)]).toEqual([name, false])
})

test('every name of ours is recognized in spite of one added, missing, wrong or swapped letter', () => {
  const slip = fc.constantFrom('add', 'leave out', 'replace', 'swap')
  const slipped = (name: string, kind: string, at: number, letter: string) => {
    const [before, here, after] = [name.slice(0, at), name[at]!, name.slice(at + 1)]
    if (kind === 'add') return before + letter + here + after
    if (kind === 'leave out') return before + after
    if (kind === 'replace') return before + letter + after
    return before + after.slice(0, 1) + here + after.slice(1)
  }
  // Only these names: one slip may turn another name, such as `last`, into something closer to a third name.
  const own = fc.constantFrom('topic', 'lastEventId', 'from', 'since', 'ticket')
  fc.assert(
    fc.property(own, slip, fc.nat(), fc.constantFrom(...'abcxyz'), (name, kind, at, letter) => {
      expect(
        meantBy(slipped(name, kind, at % name.length, letter), ['topic', 'lastEventId', 'from', 'since', 'ticket']),
      ).toBe(name)
    }),
    { seed, numRuns: runs(1000, 100_000) },
  )
})
