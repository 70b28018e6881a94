import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isTruncatedJson } from '../../src/routes/json.ts'
import { runs, seed } from '../seed.ts'

const isJson = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

test('isTruncatedJson recognizes JSON that was cut at any character', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(0, 2), fc.nat(1000), (json, indent, at) => {
      const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
      const text = JSON.stringify(JSON.parse(json), null, indent).replace(/[^\x20-\x7e\n]/g, escaped)
      const cut = text.slice(0, 1 + (at % text.length))
      expect([cut, isJson(cut) || isTruncatedJson(cut)]).toEqual([cut, true])
    }),
    { seed, numRuns: runs(2000, 200_000) },
  )
})

test('isTruncatedJson rejects a text that no further characters can make valid JSON', () => {
  for (const text of [
    ...[
      "{'topic':'a'",
      'hello',
      '{"data":"x"}}',
      '{"data":"x",}',
      '{data:1',
      '[1,]',
      '[,',
      '{,',
      '{"a"}',
      '{"a":}',
      '{"a":1 "b"',
    ],
    ...[
      '01',
      '1.e',
      '--1',
      '+1',
      'nul1',
      'True',
      '"a" "b',
      '"\\x',
      '"\n',
      ']',
      '}',
      ':',
      ',',
      '[1 2',
      '{"a":1:',
      '[}',
      '{]',
      '1 2',
      '"\\u12g',
    ],
  ])
    expect([text, isTruncatedJson(text)]).toEqual([text, false])
})

test('isTruncatedJson recognizes JSON cut inside a word, a number, a string, an escape or a structure', () => {
  for (const text of [
    't',
    'fals',
    'nul',
    '-',
    '1.',
    '1e',
    '1e+',
    '-0.',
    '"',
    '"a',
    '"\\',
    '"\\u',
    '"\\u12',
    '"\\"',
    '[',
    '{',
    '{"',
    '{"a"',
    '{"a":',
    '{"a":[1,',
    '[[[',
    ' {\n "a" : ',
    '[1, 2',
    '{"a":1,"',
  ])
    expect([text, isTruncatedJson(text)]).toEqual([text, true])
})
