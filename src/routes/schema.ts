import * as v from 'valibot'
import { AppError, type Code, quote } from '../errors.ts'

/** Most events of `last`, topics of a page, and seconds of `wait`. */
const MAX_LAST = 10_000
const MAX_PAGE = 1000
const MAX_WAIT_S = 60
const MIN_REPEAT_MS = 1000
const MAX_REPEAT_MS = 3_600_000

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+ -]\d\d:\d\d)$/

// What follows is used twice: to check what comes, and to describe it in /openapi.json. `says` is for people, and where a query
// holds something else than text, `shape` is the JSON Schema of what it holds.

/** One message of a body: its fields as one gives them. */
export const message = v.pipe(
  v.strictObject({
    topic: v.optional(says(v.string('a string'), 'The topic, where the query does not name it', 'chat/room-1')),
    data: v.optional(says(v.any(), 'A string, or any JSON value, which is sent as compact JSON', { n: 1 })),
    event: v.optional(says(v.string('a string'), 'The event name; `message` if left out', 'said')),
    retry: v.optional(says(v.number('a number'), 'Reconnection time for readers, in ms, 500 to 3600000', 2000)),
    key: v.optional(says(v.string('a string'), 'Idempotency key: the same message with it is taken once', 'm-1')),
    close: v.optional(
      says(v.boolean('true or false'), 'Closes the topic after this message; then data may be left out'),
    ),
  }),
  v.description('A message. It has data, or closes its topic, or both.'),
)

/** The body of the demo's call: anything with a message in it is echoed. */
export const demoBody = v.pipe(
  v.looseObject({
    message: v.optional(says(v.string(), 'What the store is set to, where the query does not say it', 'hi')),
  }),
  v.description('The demo: sets the store, and is echoed.'),
)

export const sendQuery = v.object({
  topic: v.optional(says(v.string(), 'The topic to publish to; without one the store is set', 'chat/room-1')),
  message: v.optional(says(v.string(), 'Without a topic: what the store is set to')),
})

/** What a reader may ask for. */
export const eventQuery = v.object({
  topic: v.optional(
    says(v.array(v.string()), 'Topics and patterns, up to 100; without one, the stream of the store', [
      'chat/*',
      'news',
    ]),
  ),
  ticket: v.optional(says(v.string(), 'A ticket of POST /ticket, in the place of a token')),
  lastEventId: v.optional(says(v.string(), 'Where to go on, as Last-Event-ID, which wins', 'k3v9x0q2ab-17')),
  last_event_id: v.optional(says(v.string(), 'The same by another name')),
  from: v.optional(says(v.literal('earliest', 'earliest'), 'Begins with the oldest event that is kept', 'earliest')),
  last: v.optional(whole('Begins with the newest so many of what matches', 1, MAX_LAST, 10)),
  since: v.optional(
    says(
      v.pipe(
        v.string(),
        v.check(isTime, 'a time as in RFC 3339, like 2026-11-24T09:00:00Z, or how long ago: 90s, 10m, 2h, 7d'),
      ),
      'Begins at a time (RFC 3339) or so long ago (90s, 10m, 2h, 7d)',
      '10m',
    ),
  ),
  latest: v.optional(flag('A reader that is behind gets only the newest event of each topic')),
  gaps: v.optional(flag('With latest: tells of what was passed over, as a hub.gap of reason conflated')),
  repeat: v.optional(
    whole(
      'Says the newest event of one exact topic again every so many ms, without an id',
      MIN_REPEAT_MS,
      MAX_REPEAT_MS,
      5000,
    ),
  ),
  wait: v.optional(whole('With Accept: application/json: seconds to wait when nothing is due', 0, MAX_WAIT_S, 30)),
})

/** What somebody revokes. */
export const revocation = v.pipe(
  v.union([
    v.strictObject({ jti: revoked('A token, by its jti') }),
    v.strictObject({ sub: revoked('All that a sub has until now') }),
  ]),
  v.description('What is revoked: one token, or all that somebody was given until now'),
)

/** Other topics for an open stream. */
export const streamBody = v.strictObject({
  topics: v.optional(
    says(v.pipe(v.array(v.string()), v.minLength(1)), 'Topics and patterns, in the place of those it has'),
  ),
})

export const topicsQuery = v.object({
  topic: v.optional(says(v.string(), 'A pattern, or a name', 'chat/*')),
  prefix: v.optional(says(v.string(), 'What the names begin with', 'chat/')),
  after: v.optional(says(v.string(), 'The name to go on after: `next` of the page before', 'chat/room-1')),
  limit: v.optional(whole('Most topics of the page; 100 if left out', 1, MAX_PAGE, 100)),
})

/**
 * Reads a query by its schema: a parameter with a list may be repeated, others not; unknown ones are passed over.
 *
 * @throws AppError `parameter_repeated`, `parameter_invalid`
 */
export function parseParameters<Entries extends v.ObjectEntries>(
  schema: v.ObjectSchema<Entries, undefined>,
  query: URLSearchParams,
): v.InferOutput<v.ObjectSchema<Entries, undefined>> {
  const given: Record<string, unknown> = {}
  for (const [name, entry] of Object.entries(schema.entries)) {
    const values = query.getAll(name)
    if (values.length === 0) continue
    if (isList(entry)) given[name] = values
    else if (values.length === 1) given[name] = values[0]
    else throw new AppError('parameter_repeated', `Cannot use ${quote(name)} ${values.length} times: give it once`)
  }
  const found = v.safeParse(schema, given)
  if (found.success) return found.output
  const [issue] = found.issues
  const name = String(issue.path?.[0]?.key)
  throw new AppError(
    'parameter_invalid',
    `Cannot use ${quote(String(given[name]))} as ${name}: expected ${issue.message}`,
  )
}

/** A time as `since` has it, in ms since 1970. */
export function timeOf(since: string, now: number): number {
  const [, count, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(since) ?? []
  if (unit !== undefined) return now - Number(count) * UNITS[unit]!
  return Date.parse(
    since
      .toUpperCase()
      .replace(/ (?=\d\d:\d\d$)/, '+')
      .replace(' ', 'T'),
  ) // a query makes a space of +
}

/** Which fields a message has, and which code tells that one is wrong. */
export const fieldCodes: Readonly<Record<string, Code>> = {
  topic: 'topic_invalid',
  data: 'body_invalid',
  event: 'event_invalid',
  retry: 'retry_invalid',
  key: 'key_invalid',
  close: 'body_invalid',
}

function isTime(since: string): boolean {
  if (/^\d{1,9}(ms|s|m|h|d)$/.test(since)) return true
  return RFC_3339.test(since) && !Number.isNaN(timeOf(since, 0))
}

function isList(schema: v.GenericSchema): boolean {
  let inner = schema as unknown as { type: string; wrapped?: v.GenericSchema }
  while (inner.wrapped) inner = inner.wrapped as unknown as typeof inner
  return inner.type === 'array'
}

function says<Schema extends v.GenericSchema>(schema: Schema, description: string, example?: unknown) {
  return v.pipe(schema, v.description(description), v.metadata(example === undefined ? {} : { examples: [example] }))
}

function revoked(description: string) {
  return says(v.pipe(v.string(), v.minLength(1), v.maxLength(200)), description)
}

function whole(description: string, minimum: number, maximum: number, example: number) {
  const expected = `a whole number from ${minimum} to ${maximum}`
  return v.pipe(
    v.string(),
    v.regex(/^\d{1,9}$/, expected),
    v.transform(Number),
    v.minValue(minimum, expected),
    v.maxValue(maximum, expected),
    v.description(description),
    v.metadata({ shape: { type: 'integer', minimum, maximum }, examples: [example] }),
  )
}

function flag(description: string) {
  return v.pipe(
    v.string(),
    v.regex(/^(true|false)$/, 'true or false'),
    v.transform((given) => given === 'true'),
    v.description(description),
    v.metadata({ shape: { type: 'boolean' } }),
  )
}
