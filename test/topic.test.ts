import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defaultTopicLimits, Filter, matches, parsePattern, parseTopic, topicInPath } from '../src/topic.ts'
import { runs, seed } from './seed.ts'

const match = (pattern: string, topic: string) => matches(pattern.split('/'), topic.split('/'))

describe('a topic', () => {
  test.each(['a', 'chat/room-1', 'A.b_c~d@e:f/9', '$store', '$sys/x', 'x'.repeat(200)])('can be %s', (text) => {
    expect(parseTopic(text)).toBe(text)
  })

  test.each(['', '/', '/a', 'a/', 'a//b', 'a b', 'ä', 'a/$b', '$', 'a\n', 'a\u0000', 'a,b', '%61'])(
    'cannot be %j',
    (text) => {
      expect(() => parseTopic(text)).toThrow(expect.objectContaining({ code: 'topic_invalid' }))
    },
  )

  test('and a pattern have at most maxTopicBytes', () => {
    for (const parse of [parseTopic, parsePattern]) {
      expect(() => parse('x'.repeat(201))).toThrow(expect.objectContaining({ code: 'topic_too_long' }))
      const limits = { maxTopicBytes: 5, maxTopicSegments: 3, maxTopics: 1 }
      expect(parse('a/234', limits)).toBe('a/234')
      expect(() => parse('a/2345', limits)).toThrow(expect.objectContaining({ code: 'topic_too_long' }))
    }
  })

  test('and a pattern have at most maxTopicSegments', () => {
    for (const parse of [parseTopic, parsePattern]) {
      expect(parse('1/2/3/4/5/6/7/8/9/10', defaultTopicLimits)).toBe('1/2/3/4/5/6/7/8/9/10')
      expect(() => parse('1/2/3/4/5/6/7/8/9/10/11', defaultTopicLimits)).toThrow('it has 11 segments, at most 10')
      expect(parse(Array(100).fill('a').join('/'))).toHaveLength(199)
      const limits = { maxTopicBytes: 99, maxTopicSegments: 3, maxTopics: 1 }
      expect(() => parse('a/b/c/d', limits)).toThrow(expect.objectContaining({ code: 'topic_too_long' }))
    }
  })

  test.each(['*', 'a/*', '**'])('cannot be the pattern %s', (text) => {
    expect(() => parseTopic(text)).toThrow(/it is a pattern/)
  })
})

describe('a pattern', () => {
  test.each(['*', '**', 'a/*/b', 'a/**', '*/*/**', '$sys/*'])('can be %s', (text) => {
    expect(parsePattern(text)).toBe(text)
  })

  test.each(['a*', '*a', '**/a', 'a/**/b', 'a/*/', 'a/***'])('cannot be %s', (text) => {
    expect(() => parsePattern(text)).toThrow(expect.objectContaining({ code: 'pattern_invalid' }))
  })

  test.each([
    ['a/*', 'a/b', true],
    ['a/*', 'a', false],
    ['a/*', 'a/b/c', false],
    ['*/b', 'a/b', true],
    ['a/**', 'a/b', true],
    ['a/**', 'a/b/c', true],
    ['a/**', 'a', false],
    ['**', 'a/b', true],
    ['*', '$store', false],
    ['**', '$store', false],
    ['$store', '$store', true],
    ['$sys/*', '$sys/x', true],
    ['*/x', '$sys/x', false],
  ])('%s matches %s: %s', (pattern, topic, expected) => {
    expect(match(pattern, topic)).toBe(expected)
  })
})

describe('a filter', () => {
  const word = fc.constantFrom('a', 'b', 'c')
  const topic = fc.array(word, { minLength: 1, maxLength: 4 }).map((s) => s.join('/'))
  const pattern = fc
    .tuple(fc.array(fc.oneof(word, fc.constant('*')), { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([segments, rest]) => [...segments, ...(rest ? ['**'] : [])].join('/'))

  test('has the same key for equal sets of names in any order, and another key for other sets', () => {
    expect(Filter.parse(['b', 'a', 'b']).key).toBe(Filter.parse(['a', 'b']).key)
    expect(Filter.parse(['a', 'b']).key).not.toBe(Filter.parse(['a/b']).key)
  })

  test('matches a topic that one of its topics and patterns matches', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(topic, pattern), { minLength: 1, maxLength: 5 }), topic, (names, given) => {
        expect(Filter.parse(names).matches(given)).toBe(names.some((name) => match(name, given)))
      }),
      { seed, numRuns: runs(300, 20_000) },
    )
  })

  test('gives the same answers with a memory, at first and again', () => {
    const names = fc.array(fc.oneof(topic, pattern), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(names, fc.array(topic, { minLength: 1, maxLength: 5 }), (asked, given) => {
        const filter = Filter.parse(asked)
        const matchesAgain = filter.memoizedMatcher()
        const twice = [...given, ...given]
        expect(twice.map(matchesAgain)).toEqual(twice.map((name) => filter.matches(name)))
      }),
      { seed, numRuns: runs(300, 20_000) },
    )
  })

  test('has 1 to 100 names', () => {
    const names = (n: number) => Array.from({ length: n }, (_, i) => `t/${i}`)
    expect(() => Filter.parse([])).toThrow(expect.objectContaining({ code: 'topic_missing' }))
    expect(Filter.parse(names(100)).topics.size).toBe(100)
    expect(() => Filter.parse(names(101))).toThrow(expect.objectContaining({ code: 'too_many_topics' }))
    const patterns = Array.from({ length: 60 }, (_, i) => `${i}/a/b/c/*`)
    expect(Filter.parse(patterns, defaultTopicLimits).patterns).toHaveLength(60)
    expect(() => Filter.parse([...patterns, '*'], defaultTopicLimits)).toThrow(
      'Cannot subscribe to patterns of 301 segments: at most 300 on one stream',
    )
    expect(Filter.parse([...patterns, 'a/topic'], defaultTopicLimits).topics.size).toBe(1)
    expect(() =>
      Filter.parse(names(3), { maxTopicBytes: 9, maxTopicSegments: 3, maxTopics: 2, maxPatternSegments: 9 }),
    ).toThrow('at most 2 on one stream')
  })

  test('has a prefix that every matching topic begins with', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(topic, pattern), { minLength: 1, maxLength: 3 }), topic, (names, given) => {
        const filter = Filter.parse(names)
        if (filter.matches(given)) expect(given.startsWith(filter.prefix)).toBe(true)
      }),
      { seed, numRuns: runs(300, 20_000) },
    )
    const prefixes = [['chat/*'], ['chat/room-1', 'chat/r/**'], ['a', 'b'], ['**'], ['$store']]
    expect(prefixes.map((names) => Filter.parse(names).prefix)).toEqual(['chat/', 'chat/r', '', '', '$store'])
  })
})

test.each([
  ['jobs/7', 'jobs/7'],
  ['$topics/a@b:c', '%24topics/a%40b%3Ac'],
  ['a.b/..c', 'a.b/..c'],
  ['a/../b', 'a%2F..%2Fb'],
])('the topic %s stands in a path as %s, which is read as the same topic', (topic, path) => {
  expect(topicInPath(topic)).toBe(path)
  expect(decodeURIComponent(path)).toBe(topic)
})
