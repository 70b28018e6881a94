import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { topicOf } from '../../src/runs/topics.ts'
import { seed } from '../seed.ts'

const id = fc.string({ unit: 'binary', maxLength: 300 })

test.each([
  ['a', 'p/YQ'],
  ['user 7/3', 'p/dXNlciA3LzM'],
  ['..', 'p/Li4'],
  ['\r\n\0', 'p/DQoA'],
  ['??>', 'p/Pz8-'],
  ['???', 'p/Pz8_'],
  ['', 'p/h~47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU'],
])('the topic of the id %j is %s', async (given, topic) => {
  expect(await topicOf('p', given)).toBe(topic)
})

test('every id has a topic of at most 200 bytes, which holds the id or its hash', async () => {
  await fc.assert(
    fc.asyncProperty(id, fc.constantFrom('p', 'a/b', 'x'.repeat(154)), async (given, prefix) => {
      const topic = await topicOf(prefix, given)
      expect(topic).toBe(await topicOf(prefix, given))
      expect(topic).toMatch(/^[\w/~-]{1,200}$/)
      expect(topic.startsWith(`${prefix}/`)).toBe(true)
      const encoded = Buffer.from(given).toString('base64url')
      const isShort = given !== '' && encoded.length + prefix.length < 200
      const hash = createHash('sha256').update(given).digest('base64url')
      expect(topic.slice(prefix.length + 1)).toBe(isShort ? encoded : `h~${hash}`)
    }),
    { seed, numRuns: 300 },
  )
})

test('different ids have different topics', async () => {
  const two = fc.tuple(id, id).filter(([a, b]) => a !== b)
  await fc.assert(
    fc.asyncProperty(two, async ([a, b]) => {
      expect(await topicOf('p', a)).not.toBe(await topicOf('p', b))
    }),
    { seed, numRuns: 300 },
  )
})

test.each([
  ['an id of 4,097 characters', 'p', 'x'.repeat(4097), 'parameter_invalid'],
  ['half of a surrogate pair', 'p', '\ud83d', 'parameter_invalid'],
  ['a prefix that is no topic', 'a b', 'x', 'topic_invalid'],
  ['a prefix of 155 bytes and an id that is hashed', 'x'.repeat(155), 'y'.repeat(200), 'topic_too_long'],
])('refuses %s', async (_, prefix, given, code) => {
  await expect(topicOf(prefix, given)).rejects.toMatchObject({ code })
})
