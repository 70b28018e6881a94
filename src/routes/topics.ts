import type { Handler } from 'hono'
import * as v from 'valibot'
import { isAllowed } from '../auth/authorize.ts'
import { AppError } from '../errors.ts'
import type { Topic } from '../hub/directory.ts'
import { INSIDE } from '../hub/inside.ts'
import { Filter, isOwn, parseTopic } from '../topic.ts'
import { codesOf, json, object, parametersOf, ref } from './describe.ts'
import type { Description, Door, Routes } from './door.ts'
import { pathAfter, prefixesOf } from './paths.ts'
import { parseParameters, parseQuery } from './query.ts'
import { runProperties } from './runs-description.ts'
import { described, whole } from './schema.ts'
import { shapes } from './shapes.ts'
import { withTimes } from './times.ts'

/** Topics of a page: the default of `limit`, and the highest value. */
const PAGE = 100
const MAX_PAGE = 1000
const headers = { 'Cache-Control': 'no-store' }

/** `/topics`: lists topics, shows a topic, and deletes a topic or one of its events. */
export const topics: Routes = (door) => {
  const [listing, showing] = [list(door), show(door)]
  return {
    '/topics': { methods: { GET: listing, HEAD: listing }, describe: describeList },
    '/topics/:topic{[^]+}': {
      methods: { GET: showing, HEAD: showing, DELETE: erase(door) },
      describe: describeTopic,
    },
  }
}

/** The parameters of `/topics`. */
export const topicsQuery = v.object({
  topic: v.optional(described(v.string(), 'A topic or a pattern. Not beside `prefix`', 'chat/*', shapes.name)),
  prefix: v.optional(described(v.string(), 'The beginning of the names. Not beside `topic`', 'chat/')),
  after: v.optional(
    described(v.string(), 'The name that precedes the page: `next` of the previous page', 'chat/room-1'),
  ),
  limit: v.optional(whole('Most topics of the page; 100 if left out', 1, MAX_PAGE, 100)),
})

/** `GET /topics` lists topics by name, a page at a time. A page counts as one message of the rate of the client's address. */
function list(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    const { topic, prefix, after = '', limit = PAGE } = parseParameters(topicsQuery, parseQuery(c.req.url))
    if (topic !== undefined && prefix !== undefined)
      throw new AppError('parameter_invalid', 'Cannot list by topic and by prefix: give one of them')
    const filter = topic === undefined ? undefined : Filter.parse([topic], door.limits.topics)
    // The hub's own topics are listed only if the query names them.
    const isRequested = (name: string) => (filter ? filter.matches(name) : prefix?.startsWith('$') || !isOwn(name))
    const isShown = (name: string) => isRequested(name) && isAllowed(grant, 'subscribe', name)
    const prefixes = prefixesOf(grant, prefix ?? filter?.prefix ?? '')
    await door.spend(c, 1)
    const { signal } = c.req.raw
    const topics = await door.hub.directory.list({ prefixes, isShown, after, limit, signal })
    const next = topics.length === limit ? topics.at(-1)!.topic : undefined
    return c.json({ topics: topics.map(shape), ...(next !== undefined && { next }) }, 200, headers)
  }
}

/** `GET /topics/<topic>` shows a topic, whether it has any event or not. */
function show(door: Door): Handler {
  return async (c) => {
    const grant = await door.grantOf(c)
    const name = parseTopic(pathAfter(c, 'topics'), door.limits.topics)
    door.authorize(grant, 'subscribe', name)
    return c.json(shape(await door.hub.directory.get(name)), 200, headers)
  }
}

/** A topic as JSON: times in RFC 3339. */
function shape({ run, ...topic }: Topic) {
  return { ...topic, ...(run && { run: withTimes(run) }) }
}

/** `DELETE /topics/<topic>` deletes a topic's history and reopens the topic, `DELETE /topics/<topic>/<id>` erases one of its events. */
function erase(door: Door): Handler {
  const { hub, limits } = door
  return async (c) => {
    const grant = await door.grantOf(c)
    const path = pathAfter(c, 'topics')
    const slash = path.lastIndexOf('/')
    const last = path.slice(slash + 1)
    // The last segment of a topic may look like an id, but not like an id of this log, whose epoch is random.
    const id = slash > 0 && (await hub[INSIDE].isId(last)) ? last : undefined
    const topic = parseTopic(id === undefined ? path : path.slice(0, slash), limits.topics)
    if (!isOwn(topic)) door.authorize(grant, 'publish', `$topics/${topic}`)
    await door.spend(c, 1)
    const erased = await hub.directory.erase(topic, id)
    return c.json({ topic, ...(id !== undefined && { id }), erased }, 200, headers)
  }
}

function describeList(): Description {
  return {
    paths: {
      '/topics': {
        get: {
          operationId: 'listTopics',
          tags: ['topics'],
          summary: 'List topics',
          description: 'Lists topics that have kept events or are closed, by name.',
          parameters: parametersOf(topicsQuery),
          responses: { 200: json('A page', ref('Topics')) },
          codes: [...codesOf.query, ...codesOf.grant, ...codesOf.topic, 'pattern_invalid', 'rate_limited'],
        },
      },
    },
    schemas: {
      Topics: object({ topics: { type: 'array', items: ref('Topic') }, next: { type: 'string' } }, ['topics']),
    },
  }
}

function describeTopic(): Description {
  const topic = {
    name: 'topic',
    in: 'path',
    required: true,
    description: 'The topic. Its slashes may be escaped or not',
    schema: shapes.anyTopic,
    example: 'chat/room-1',
  }
  const tags = ['topics']
  const showing = [...codesOf.grant, ...codesOf.topic, 'encoding_invalid'] as const
  const deleting = [...showing, 'cross_site', 'nothing_to_delete', 'outcome_unknown', 'rate_limited'] as const
  return {
    paths: {
      '/topics/{topic}': {
        parameters: [topic],
        get: {
          operationId: 'showTopic',
          tags,
          summary: 'Show a topic',
          description: 'Shows a topic, whether it has any event or not.',
          responses: { 200: json('The topic', ref('Topic')) },
          codes: showing,
        },
        delete: {
          operationId: 'deleteTopic',
          tags,
          summary: 'Delete a topic',
          description:
            'Deletes its history, and reopens it if it was closed. Readers that were behind get a gap. Idempotency keys stay known.',
          responses: { 200: json('The number of erased events', ref('Erased')) },
          codes: deleting,
        },
      },
      '/topics/{topic}/{id}': {
        parameters: [topic, { name: 'id', in: 'path', required: true, schema: ref('Id') }],
        delete: {
          operationId: 'eraseEvent',
          tags,
          summary: 'Erase an event',
          description: 'Erases one event for good. Its id is not used again; readers get the other events.',
          responses: { 200: json('The erased event', ref('Erased')) },
          codes: deleting,
        },
      },
    },
    schemas: {
      Topic: object(
        {
          topic: { type: 'string' },
          lastId: { anyOf: [ref('Id'), { type: 'null' }] },
          kept: { type: 'integer', minimum: 0 },
          readers: { type: 'integer', minimum: 0 },
          closed: { type: 'boolean' },
          run: object(runProperties, ['fence', 'leaseMs', 'graceMs', 'isStopAsked']),
        },
        ['topic', 'lastId', 'kept', 'readers', 'closed'],
      ),
      Erased: object({ topic: { type: 'string' }, id: ref('Id'), erased: { type: 'integer', minimum: 0 } }, [
        'topic',
        'erased',
      ]),
    },
  }
}
