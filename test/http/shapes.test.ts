import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseMessage } from '../../src/hub/message.ts'
import { shapes } from '../../src/routes/shapes.ts'
import { defaultTopicLimits, isPattern, parsePattern, parseTopic } from '../../src/topic.ts'
import { runs, seed } from '../seed.ts'

const ajv = new Ajv2020()
const limits = { ...defaultTopicLimits, maxTopicSegments: 100, maxEventBytes: 1000 }
const message = (more: object) => parseMessage({ topic: 'a', data: 'x', ...more }, limits)

const accepts = (check: () => unknown): boolean => {
  try {
    check()
    return true
  } catch {
    return false
  }
}

/** Names like those of topics and patterns, right and wrong. */
const name = fc
  .array(fc.constantFrom('a', 'B9', '._~@:-', '*', '**', '$', '$x', '/', '', ' ', 'é', '#'), { maxLength: 8 })
  .map((parts) => parts.join(''))
const text = fc
  .array(
    fc.constantFrom('open', 'error', 'hub', 'hub.', '.', 'x', ' ', 'é', '\u0000', '\u007f', '\u009f', '\ufeff', '😀'),
    {
      maxLength: 4,
    },
  )
  .map((parts) => parts.join(''))

test.each([
  ['topic', name, (text: string) => message({ topic: text })],
  ['anyTopic', name, (text: string) => parseTopic(text, limits)],
  ['name', name, (text: string) => (isPattern(text) ? parsePattern(text, limits) : parseTopic(text, limits))],
  ['event', text, (text: string) => message({ event: text })],
  ['key', text, (text: string) => message({ key: text })],
] as const)('the description of %s matches exactly the texts that the hub accepts', (shape, texts, check) => {
  const validate = ajv.compile(shapes[shape])
  const seen = new Set<boolean>()
  fc.assert(
    fc.property(texts, (text) => {
      const isAccepted = accepts(() => check(text))
      seen.add(isAccepted)
      expect(validate(text)).toBe(isAccepted)
    }),
    { seed, numRuns: runs(1000, 100_000) },
  )
  expect(seen.size).toBe(2)
})

test('the description of retry matches exactly the times that the hub accepts', () => {
  const validate = ajv.compile(shapes.retry)
  for (const retry of [-1, 0, 499, 500, 500.5, 3_600_000, 3_600_001])
    expect([retry, validate(retry)]).toEqual([retry, accepts(() => message({ retry }))])
})
