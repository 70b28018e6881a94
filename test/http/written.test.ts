import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { messageAsWritten, messagesAsWritten, writtenMembers, writtenValues } from '../../src/routes/written.ts'
import { runs, seed } from '../seed.ts'

/** JSON as its tokens. Any whitespace may be between two tokens; the tokens without whitespace are what the scanner returns. */
type Tokens = readonly string[]

const MEMBER = 'data'

const character = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...'ab {}[]:,é\u2028😀') },
  fc.constantFrom(
    '\\"',
    '\\\\',
    '\\/',
    '\\b',
    '\\f',
    '\\n',
    '\\r',
    '\\t',
    '\\u0041',
    '\\u0022',
    '\\u005C',
    '\\ud800',
    '\\ud83d\\ude00',
  ),
)
const string = fc.array(character, { maxLength: 8 }).map((characters) => `"${characters.join('')}"`)
const number = fc.oneof(
  fc.constantFrom('0', '-0', '1.0', '154284075601887489', '1E+2', '-1.50e-3', '0.1e1'),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => JSON.stringify(n)),
)
const word = fc.constantFrom('true', 'false', 'null')
/** The name of a member; the name of the wanted member is spelled in several ways. */
const name = fc.oneof(
  string,
  fc.constantFrom(
    '"data"',
    '"d\\u0061ta"',
    '"\\u0064\\u0061\\u0074\\u0061"',
    '"Data"',
    '"data "',
    '"__proto__"',
    '"\\\\data"',
  ),
)

const { value, object } = fc.letrec<{ value: Tokens; object: Tokens; list: Tokens }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(string, number, word).map((token) => [token]),
    tie('object'),
    tie('list'),
  ),
  object: fc.array(fc.tuple(name, tie('value')), { maxLength: 4 }).map((members) =>
    structure(
      '{',
      members.map(([name, value]) => [name, ':', ...value]),
      '}',
    ),
  ),
  list: fc.array(tie('value'), { maxLength: 4 }).map((values) => structure('[', values, ']')),
}))

function structure(begin: string, items: readonly Tokens[], end: string): Tokens {
  return [begin, ...items.flatMap((item, i) => (i === 0 ? item : [',', ...item])), end]
}

/** The members of a message, so that the tokens of its data are known. */
const message = fc.array(fc.tuple(name, value), { maxLength: 5 }).map((members) => ({
  tokens: structure(
    '{',
    members.map(([name, value]) => [name, ':', ...value]),
    '}',
  ),
  data: members.findLast(([name]) => JSON.parse(name) === MEMBER)?.[1].join(''),
}))
const whitespace = fc.array(fc.constantFrom('', '', ' ', '\n', '\t', '\r\n', '  '), { minLength: 1, maxLength: 12 })

function spaced(tokens: Tokens, spaces: readonly string[]): string {
  return tokens.map((token, i) => spaces[i % spaces.length] + token).join('') + spaces.at(-1)
}

const isString = (text: string | undefined) => text?.startsWith('"') ?? false
const options = { seed, numRuns: runs(2000, 200_000) }

test('the data of a message is returned as it was written, without whitespace outside of strings', () => {
  fc.assert(
    fc.property(message, whitespace, ({ tokens, data }, spaces) => {
      const json = spaced(tokens, spaces)
      expect(writtenMembers(json, MEMBER)).toEqual([isString(data) ? undefined : data])
    }),
    options,
  )
})

test('the data of each message of a list is returned, whatever else the list holds', () => {
  const item = fc.oneof(
    message,
    value.filter(([first]) => first !== '{').map((tokens) => ({ tokens, data: undefined })),
  )
  fc.assert(
    fc.property(fc.array(item, { maxLength: 6 }), whitespace, (items, spaces) => {
      const json = spaced(
        structure(
          '[',
          items.map(({ tokens }) => tokens),
          ']',
        ),
        spaces,
      )
      expect(writtenMembers(json, MEMBER)).toEqual(items.map(({ data }) => (isString(data) ? undefined : data)))
    }),
    options,
  )
})

test('each value of a list is returned as it was written, without whitespace outside of strings, and a value that is no list as well', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 6 }), whitespace, (values, spaces) => {
      const texts = values.map((tokens) => tokens.join(''))
      expect(writtenValues(spaced(structure('[', values, ']'), spaces))).toEqual(texts)
      const [first] = values
      if (first && first[0] !== '[') expect(writtenValues(spaced(first, spaces))).toEqual(texts.slice(0, 1))
    }),
    options,
  )
})

test('the returned data means what JSON.parse makes of it; a string is returned as its value', () => {
  const parsed = (data: unknown, isText: boolean) => (isText || data === undefined ? data : JSON.parse(data as string))
  fc.assert(
    fc.property(fc.oneof(object, value), whitespace, (tokens, spaces) => {
      const json = spaced(tokens, spaces)
      const given = JSON.parse(json)
      const lists = Array.isArray(given) ? given : [given]
      const written = Array.isArray(given) ? messagesAsWritten(given, json) : [messageAsWritten(given, json)]
      expect(written.length).toBe(lists.length)
      for (const [i, one] of lists.entries()) {
        const own = typeof one === 'object' && one !== null && Object.hasOwn(one, MEMBER)
        const { data } = (own ? written[i] : {}) as { data?: unknown }
        expect(parsed(data, own && typeof one.data === 'string')).toEqual(own ? one.data : undefined)
        if (!own) expect(written[i]).toBe(one)
        else expect({ ...(written[i] as object), data: 0 }).toEqual({ ...one, data: 0 })
      }
    }),
    options,
  )
})

test('data in JSON of JSON.stringify, indented or not, is returned as JSON.stringify writes it without indentation', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, '\t'), (data, space) => {
      const [written] = writtenMembers(
        JSON.stringify({ before: [data], data, after: { data: 1 } }, null, space),
        MEMBER,
      )
      expect(written).toBe(typeof data === 'string' ? undefined : JSON.stringify(data))
    }),
    options,
  )
})

test('a value that is nested 100,000 levels deep, or is full of quotes and backslashes, is returned', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  const quotes = `["${'\\"'.repeat(100_000)}","${'\\\\'.repeat(100_000)}"]`
  for (const data of [deep, quotes]) expect(writtenMembers(`[{"x":${data},"data":${data}}]`, MEMBER)).toEqual([data])
})

test('the kept data of a message does not keep the whole body in memory', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const BODIES = 200
  const SIZE = 64 * 1024
  const kept: unknown[] = []
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < BODIES; i++)
    kept.push(writtenMembers(`{"data":{"number":${i + 1000}}${String.fromCharCode(32).repeat(SIZE)}}`, MEMBER)[0])
  collect()
  const bytes = process.memoryUsage().heapUsed - before
  expect(kept.at(-1)).toBe(`{"number":${BODIES + 999}}`)
  expect(bytes).toBeLessThan((BODIES * SIZE) / 4)
})

test('a kept event of a streamed body does not keep the bytes around it in memory', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const BODIES = 200
  const SIZE = 60 * 1024
  const hub = new Hub(memoryLog)
  const app = createApp({ hub })
  const headers = { 'content-type': 'text/event-stream' }
  const publish = async (n: number) => {
    const body = `:${' '.repeat(SIZE)}\nevent: a name of its own ${n}\ndata: some data that is long enough to be a slice ${n}\n\n`
    const response = await app.request('http://localhost/send?topic=a', { method: 'POST', headers, body })
    expect(await response.json()).toMatchObject({ taken: 1 })
  }
  await publish(0)
  collect()
  const before = process.memoryUsage().heapUsed
  for (let n = 1; n <= BODIES; n++) await publish(n)
  collect()
  expect(process.memoryUsage().heapUsed - before).toBeLessThan((BODIES * SIZE) / 4)
  await hub.close()
})
