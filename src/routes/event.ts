import type { Context } from 'hono'
import * as v from 'valibot'
import { AppError } from '../errors.ts'
import { Filter } from '../topic.ts'
import { codesOf, exclusive, header, ID, parametersOf, querySchema, ref } from './describe.ts'
import type { Description, Door, Routes } from './door.ts'
import { refuseUnknown } from './names.ts'
import { pollSchemas } from './poll.ts'
import { namesOf, parseParameters, parseQuery } from './query.ts'
import { described, flag, whole } from './schema.ts'
import { shapes } from './shapes.ts'
import type { StreamRequest } from './stream.ts'
import { msOf } from './times.ts'

const MAX_LAST = 10_000
const MAX_WAIT_S = 60
const MIN_REPEAT_MS = 1000
const MAX_REPEAT_MS = 3_600_000

/** `/event`: streams the entries of topics and patterns, or without a topic the demo. */
export const event: Routes = (door) => {
  const answer = async (c: Context) => door.openStream(c, await requestOf(c, door))
  return {
    '/event': { methods: { GET: answer, HEAD: answer, POST: answer, QUERY: answer }, describe },
  }
}

const AGO = /^(\d{1,9})(ms|s|m|h|d)$/
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+ -]\d\d:\d\d)$/

/** The parameters of `/event`. */
export const eventQuery = v.object({
  topic: v.optional(
    described(
      v.array(v.pipe(v.string(), v.metadata(shapes.name))),
      'Topics and patterns, up to 100; the demo stream if left out',
      ['chat/*', 'news'],
    ),
  ),
  ticket: v.optional(described(v.string(), 'A ticket of POST /ticket, in place of a token')),
  lastEventId: v.optional(
    described(v.string(), 'The position to resume after; the header Last-Event-ID wins over it', ID),
  ),
  last_event_id: v.optional(described(v.string(), 'Another name of `lastEventId`. Not beside another value of that')),
  from: v.optional(
    described(
      v.literal('earliest', 'earliest'),
      'Begins with the oldest kept event. Needs `topic`, and not beside `last` or `since`',
      'earliest',
    ),
  ),
  last: v.optional(
    whole(
      'Begins with this many of the newest matching events. Needs `topic`, and not beside `from` or `since`',
      1,
      MAX_LAST,
      10,
    ),
  ),
  since: v.optional(
    described(
      v.pipe(
        v.string(),
        v.check(isTime, 'a time as in RFC 3339, like 2026-11-24T09:00:00Z, or how long ago: 90s, 10m, 2h, 7d'),
      ),
      'Begins at a time (RFC 3339), or this long ago (90s, 10m, 2h, 7d). Needs `topic`, and not beside `from` or `last`',
      '10m',
      { pattern: `${AGO.source}|${RFC_3339.source}` },
    ),
  ),
  latest: v.optional(flag('Sends a reader that is behind only the newest event of each topic. Needs `topic`')),
  envelope: v.optional(
    flag(
      'Makes the data of each event `{"topic","event","data","time"}`: `data` in it is the text as published. Needs `topic`',
    ),
  ),
  control: v.optional(
    flag(
      'With `false`: sends no `hub.*` events, for parsers that would take them for data. The stream ends cleanly only once all its topics are closed as `done`; every other end breaks the connection off, and a gap at the beginning is 410. Needs `topic`',
    ),
  ),
  gaps: v.optional(flag('Reports skipped events in a hub.gap with reason conflated. Needs `latest=true`')),
  repeat: v.optional(
    whole(
      'Repeats the newest event of one exact topic at this interval in ms, without an id',
      MIN_REPEAT_MS,
      MAX_REPEAT_MS,
      5000,
    ),
  ),
  wait: v.optional(whole('With Accept: application/json: seconds to wait for an event', 0, MAX_WAIT_S, 30)),
})

type Parameters = v.InferOutput<typeof eventQuery>

async function requestOf(c: Context, door: Door): Promise<StreamRequest> {
  const given = await queryOf(c, door)
  refuseUnknown(namesOf(given), Object.keys(eventQuery.entries), given.has('topic'))
  const parameters = parseParameters(eventQuery, given)
  const filter = parameters.topic ? Filter.parse(parameters.topic, door.limits.topics) : undefined
  refuseCombinations(parameters, filter !== undefined)
  const from = beginningOf(parameters)
  const { latest, envelope, control, gaps, repeat, ticket, wait = 0 } = parameters
  return {
    filter,
    ticket,
    lastEventId: lastEventIdOf(parameters, c.req.header('last-event-id')),
    ...(from && { from }),
    ...(latest && { latest }),
    ...(envelope && { envelope }),
    ...(control === false && { control }),
    ...(gaps && { gaps }),
    ...(repeat !== undefined && { repeatMs: repeat }),
    waitMs: 1000 * wait,
  }
}

/** Returns the parameters of the query, and of a form in the body: a list of topics may be too long for a URL. */
async function queryOf(c: Context, door: Door): Promise<URLSearchParams> {
  const query = parseQuery(c.req.url)
  if (c.req.method === 'GET' || c.req.method === 'HEAD') return query
  const body = await door.readBody(c)
  if (body.kind === 'none') return query
  if (body.kind !== 'form')
    throw new AppError(
      'content_type_unsupported',
      'Cannot subscribe with a body of this type: expected application/x-www-form-urlencoded, with the parameters of the query',
    )
  for (const [name, values] of Object.entries(body.fields))
    for (const value of [values].flat()) query.append(name, value)
  return query
}

const beginnings = ['from', 'last', 'since'] as const

function refuseCombinations(parameters: Parameters, hasTopic: boolean): void {
  const cannot = (why: string) => new AppError('parameter_invalid', `Cannot ${why}`)
  const given = beginnings.filter((name) => parameters[name] !== undefined)
  if (given.length > 1) throw cannot(`begin at two positions: give one of ${given.join(' and ')}`)
  for (const name of [...given, 'latest', 'envelope', 'control', 'gaps', 'repeat'] as const)
    if (!hasTopic && parameters[name] !== undefined) throw cannot(`use ${name} without a topic: name one`)
  if (parameters.gaps && !parameters.latest) throw cannot('use gaps without latest=true: add it')
  if (parameters.gaps && parameters.control === false)
    throw cannot('use gaps with control=false: it reports them in control events')
}

function beginningOf({ from, last, since }: Parameters): StreamRequest['from'] {
  if (last !== undefined) return { last }
  return since === undefined ? from : { since: timeOf(since, Date.now()) }
}

/** The header wins over the query, because it is newer: a browser that reconnects adds the header to the URL of its first connection. */
function lastEventIdOf({ lastEventId, last_event_id: other }: Parameters, header: string | undefined): string {
  if (lastEventId !== undefined && other !== undefined && lastEventId !== other)
    throw new AppError(
      'parameter_repeated',
      'Cannot use "lastEventId" and "last_event_id" with two values: give one of them',
    )
  return header || lastEventId || other || ''
}

function isTime(since: string): boolean {
  return AGO.test(since) || (RFC_3339.test(since) && !Number.isNaN(timeOf(since, 0)))
}

/** Returns the time of `since` in ms since 1970. */
function timeOf(since: string, now: number): number {
  if (AGO.test(since)) return now - msOf(since)
  return Date.parse(
    since
      .toUpperCase()
      .replace(/ (?=\d\d:\d\d$)/, '+') // a query decodes + as a space
      .replace(' ', 'T'),
  )
}

function describe(): Description {
  const subscribing = {
    tags: ['subscribe'],
    security: [{}, { token: [] }, { cookie: [] }, { ticket: [] }],
    parameters: [
      ...parametersOf(eventQuery),
      header('Last-Event-ID', 'The position to resume after; it wins over the parameters'),
    ],
    responses: {
      200: {
        description:
          'A stream of events; with `Accept: application/json`, one answer, at once or after `wait`. An EventSource that must reconnect later gets a stream that ends with its `retry:` at once.',
        headers: { Vary: { schema: { const: 'Accept' } } },
        content: {
          'text/event-stream': { schema: { type: 'string' }, example: `:\nretry: 3000\ndata: hello\nid: ${ID}\n\n` },
          'application/json': { schema: ref('Polled') },
        },
      },
      204: {
        description: 'No event can follow: all topics are closed, and the position is past their closes',
      },
    },
  }
  const codes = [
    ...[...codesOf.query, ...codesOf.grant, ...codesOf.topic],
    ...(['cookie_too_large', 'draining', 'gap', 'parameter_unknown', 'pattern_invalid', 'ticket_invalid'] as const),
    ...(['too_many_fields', 'too_many_readers', 'too_many_replays', 'too_many_topics', 'topic_missing'] as const),
  ]
  return {
    paths: {
      '/event': {
        get: {
          operationId: 'subscribe',
          summary: 'Subscribe',
          description:
            'Streams the events of topics and patterns, from any position. Beside a topic, unknown parameters are refused, except those that clients add against caches (`_`, `t`, `ts`, `r`, `cb`, `rand`, `nocache` and the like); without one, only misspelt ones are.',
          ...subscribing,
          codes,
        },
        post: {
          operationId: 'subscribeByBody',
          summary: 'Subscribe to a list too long for a URL',
          description:
            'Like GET, with parameters in the query and the body. The method QUERY, for which OpenAPI 3.1 has no word, does the same.',
          ...subscribing,
          requestBody: {
            content: {
              'application/x-www-form-urlencoded': { schema: { ...querySchema(eventQuery), ...exclusive(beginnings) } },
            },
          },
          codes: [...codes, ...codesOf.body, 'cross_site'],
        },
      },
    },
    schemas: pollSchemas,
  }
}
