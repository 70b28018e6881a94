import { type JsonSchema, toJsonSchema } from '@valibot/to-json-schema'
import type { Handler } from 'hono'
import * as v from 'valibot'
import type { Cookies } from '../auth/credentials.ts'
import { type Code, statuses } from '../errors.ts'
import type { Base } from './base.ts'
import { demoBody, eventQuery, message, revocation, sendQuery, streamBody, topicsQuery } from './schema.ts'

/** `GET /openapi.json`: the whole interface, as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1), made of the schemas that check it. */
export function openapi(base: Base, cookies: Cookies): Handler {
  const texts = new Map<string, string>()
  return (c) => {
    const url = base(c) || '/'
    const text = texts.get(url) ?? JSON.stringify({ ...describe(cookies), servers: [{ url }] })
    if (texts.size < MAX_SERVERS) texts.set(url, text)
    return c.body(text, 200, { 'Content-Type': 'application/json' })
  }
}

/** Descriptions that are kept, each for a path that the hub is reached under. */
const MAX_SERVERS = 10

const ID = 'k3v9x0q2ab-17'

/** What any request may be answered with. */
const anywhere: readonly Code[] = ['host_forbidden', 'internal']
const readsBody: readonly Code[] = [
  'body_invalid',
  'body_too_large',
  'body_too_slow',
  'content_type_unsupported',
  'encoding_invalid',
  'too_many_fields',
]
const reads: readonly Code[] = ['encoding_invalid', 'parameter_invalid', 'parameter_repeated']
const asks: readonly Code[] = [
  'forbidden',
  'keys_unavailable',
  'log_unavailable',
  'log_unusable',
  'token_invalid',
  'token_missing',
]
const namesTopics: readonly Code[] = [...asks, 'topic_invalid', 'topic_too_long']
const appends: readonly Code[] = ['event_too_large', 'key_conflict', 'key_invalid', 'message_invalid']
const appendsLate: readonly Code[] = [
  'outcome_unknown',
  'overloaded',
  'log_unavailable',
  'log_unusable',
  'rate_limited',
]
const opens: readonly Code[] = [
  ...([
    'ticket_invalid',
    'draining',
    'log_unavailable',
    'log_unusable',
    'too_many_readers',
    'too_many_replays',
  ] as const),
  ...(['pattern_invalid', 'too_many_topics', 'topic_missing'] as const),
]

function describe(cookies: Cookies) {
  const subscribing = {
    parameters: [...parametersOf(eventQuery), lastEventIdHeader],
    responses: {
      200: {
        description:
          'A stream of events; or with `Accept: application/json` one answer, at once or after `wait`. For an EventSource that is to come back later, a stream of one `retry:` line.',
        headers: { Vary: { schema: { const: 'Accept' } } },
        content: {
          'text/event-stream': { schema: { type: 'string' }, example: `:\nretry: 3000\ndata: hello\nid: ${ID}\n\n` },
          'application/json': { schema: ref('Polled') },
        },
      },
      204: {
        description: 'Nothing can come any more: all asked topics are closed, and the position is past their close',
      },
    },
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Tidings',
      version: '0.1.0',
      summary: 'A Server-Sent Events hub',
      description:
        'Publish with curl, subscribe with EventSource, never lose an event without being told. Every refusal is `application/problem+json` with a stable `code`; every other path is a 404 of `text/plain`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: [
      { name: 'publish', description: 'What goes into the log' },
      { name: 'subscribe', description: 'What comes out of it' },
      { name: 'topics', description: 'What there is' },
      { name: 'auth', description: 'Who may do what, of a hub that has keys' },
      { name: 'operate', description: 'For those who run it' },
    ],
    paths: {
      '/': {
        get: operation('page', 'operate', 'The page', 'Shows a stream as it comes, and sends.', {
          responses: { 200: { description: 'The page', content: { 'text/html': { schema: { type: 'string' } } } } },
        }),
      },
      '/send': {
        get: operation(
          'set',
          'publish',
          'Set the store',
          'The demo: sets what `/event` streams. Refused across sites.',
          {
            parameters: parametersOf(sendQuery),
            responses: { 200: json('What was sent, and its place', ref('Set')) },
            codes: [
              ...asks,
              ...reads,
              ...appends,
              ...appendsLate,
              'cross_site',
              'message_missing',
              'method_not_allowed',
              'too_many_fields',
            ],
          },
        ),
        post: operation(
          'publish',
          'publish',
          'Publish to a topic, or set the store',
          'With a topic in the query or the body: publishes. A list is taken whole or not at all. `application/x-ndjson` and `text/event-stream` are published as they stream in: at a bad item it stops, `taken` tells how many came before it, and with `Idempotency-Key: K` (item n has the key `K/n`) the same body sent again goes on there. A body that ends inside an item has `incomplete` in its answer. Without a topic: sets the store.',
          {
            parameters: [...parametersOf(sendQuery), keyHeader, preferHeader],
            requestBody: {
              content: {
                'application/json': {
                  schema: { anyOf: [ref('Message'), ref('Batch'), ref('DemoMessage')] },
                  examples: {
                    message: { value: { data: 'hello', event: 'said', key: 'm-1' } },
                    list: {
                      value: [
                        { topic: 'chat/a', data: 'one' },
                        { topic: 'chat/b', data: { n: 2 } },
                      ],
                    },
                    close: { value: { close: true } },
                    store: { value: { message: 'hi' } },
                  },
                },
                'text/plain': { schema: { type: 'string' }, example: 'plain text' },
                'application/x-www-form-urlencoded': { schema: { anyOf: [ref('Message'), ref('DemoMessage')] } },
                'multipart/form-data': { schema: { anyOf: [ref('Message'), ref('DemoMessage')] } },
                'application/x-ndjson': { schema: { type: 'string' }, example: '{"data":"one"}\n{"data":"two"}\n' },
                'text/event-stream': { schema: { type: 'string' }, example: 'data: one\n\nevent: said\ndata: two\n\n' },
              },
            },
            responses: {
              200: json('What was taken', {
                anyOf: [ref('Published'), ref('PublishedBatch'), ref('PublishedStream'), ref('Set')],
              }),
              204: {
                description: 'What was taken, with `Prefer: return=minimal`, unless the body was incomplete',
                headers: {
                  'Tidings-Id': { description: 'The last id', schema: ref('Id') },
                  'Preference-Applied': { schema: { const: 'return=minimal' } },
                },
              },
            },
            codes: [
              ...reads,
              ...readsBody,
              ...namesTopics,
              ...appends,
              ...appendsLate,
              ...(['batch_too_long', 'cross_site', 'data_missing', 'event_invalid', 'field_unknown'] as const),
              ...(['message_missing', 'parameter_unknown', 'retry_invalid', 'stream_idle', 'stream_too_long'] as const),
              ...(['stream_too_slow', 'topic_closed', 'topic_conflict', 'topic_missing'] as const),
            ],
          },
        ),
      },
      '/event': {
        get: operation('subscribe', 'subscribe', 'Subscribe', 'Topics and patterns as they come, from any position.', {
          ...subscribing,
          codes: [...reads, ...namesTopics, ...opens],
        }),
        post: operation(
          'subscribeByBody',
          'subscribe',
          'Subscribe to a list too long for a URL',
          'The same, with parameters in the body as well. The method QUERY (which OpenAPI 3.1 cannot name) does the same.',
          {
            ...subscribing,
            requestBody: { content: { 'application/x-www-form-urlencoded': { schema: querySchema(eventQuery) } } },
            codes: [...reads, ...readsBody, ...namesTopics, ...opens, 'cross_site'],
          },
        ),
      },
      '/topics': {
        get: operation('listTopics', 'topics', 'List topics', 'Those that have kept events or are closed, by name.', {
          parameters: parametersOf(topicsQuery),
          responses: { 200: json('A page', ref('Topics')) },
          codes: [...reads, ...namesTopics, 'pattern_invalid', 'log_unusable'],
        }),
      },
      '/topics/{topic}': {
        parameters: [topicInPath],
        get: operation('showTopic', 'topics', 'Show a topic', 'One topic, known or not yet.', {
          responses: { 200: json('The topic', ref('Topic')) },
          codes: [...namesTopics, 'encoding_invalid', 'log_unusable'],
        }),
        delete: operation(
          'deleteTopic',
          'topics',
          'Delete a topic',
          'Forgets its history, which readers that were behind are told of, and opens it again if it was closed. Keys stay known.',
          {
            responses: { 200: json('How many events were erased', ref('Erased')) },
            codes: [
              ...namesTopics,
              'encoding_invalid',
              'cross_site',
              'nothing_to_delete',
              'outcome_unknown',
              'log_unusable',
            ],
          },
        ),
      },
      '/topics/{topic}/{id}': {
        parameters: [topicInPath, { name: 'id', in: 'path', required: true, schema: ref('Id') }],
        delete: operation('eraseEvent', 'topics', 'Erase an event', 'Its place stays taken; readers get the others.', {
          responses: { 200: json('That it was erased', ref('Erased')) },
          codes: [
            ...namesTopics,
            'encoding_invalid',
            'cross_site',
            'nothing_to_delete',
            'outcome_unknown',
            'log_unusable',
          ],
        }),
      },
      '/login': {
        post: operation(
          'login',
          'auth',
          'Log a page in',
          'A token becomes a cookie that no script sees, until it ends.',
          {
            responses: { 200: json('Until when', object({ expiresAt: ref('Time') }, ['expiresAt'])) },
            codes: [...asks, 'cross_site'],
          },
        ),
        delete: operation('logout', 'auth', 'Log a page out', 'Takes the cookie away.', {
          responses: { 204: { description: 'It is gone' } },
          codes: ['cross_site'],
        }),
      },
      '/ticket': {
        post: operation(
          'ticket',
          'auth',
          'Get a ticket',
          'A token becomes a string for `GET /event?ticket=…`: good for one stream, within a minute, and for what the token may subscribe to until it ends.',
          {
            responses: {
              200: json(
                'The ticket',
                object({ ticket: { type: 'string' }, expiresAt: ref('Time') }, ['ticket', 'expiresAt']),
              ),
            },
            codes: [...asks, 'cross_site', 'outcome_unknown', 'overloaded'],
          },
        ),
      },
      '/streams/{stream}': {
        parameters: [
          {
            name: 'stream',
            in: 'path',
            required: true,
            description: 'Its name, of hub.open',
            schema: { type: 'string' },
          },
        ],
        post: operation(
          'renew',
          'auth',
          'Keep a stream going',
          'With a fresh token of the same sub, and if wanted with other topics: the very same stream goes on, at its place.',
          {
            requestBody: {
              content: { 'application/json': { schema: schemaOf(streamBody), example: { topics: ['chat/*'] } } },
            },
            responses: {
              200: json(
                'How it goes on',
                object(
                  {
                    stream: { type: 'string' },
                    topics: { type: 'array', items: { type: 'string' } },
                    expiresAt: ref('Time'),
                  },
                  ['stream'],
                ),
              ),
            },
            codes: [
              ...namesTopics,
              ...readsBody,
              ...(['cross_site', 'parameter_invalid', 'pattern_invalid', 'stream_unknown', 'too_many_topics'] as const),
            ],
          },
        ),
      },
      '/revoke': {
        post: operation(
          'revoke',
          'auth',
          'Revoke tokens',
          'One by its jti, or all that a sub was given until now, for those who may publish to `$revoked`. Their streams end within seconds.',
          {
            requestBody: {
              content: { 'application/json': { schema: schemaOf(revocation), example: { jti: 'token-1' } } },
            },
            responses: { 204: { description: 'It is in the log' } },
            codes: [...asks, ...readsBody, 'cross_site', 'outcome_unknown', 'overloaded'],
          },
        ),
      },
      '/health': {
        get: operation('health', 'operate', 'Alive', 'The process answers.', {
          responses: {
            200: json('It does', { type: 'object', properties: { status: { const: 'ok' } }, required: ['status'] }),
          },
        }),
      },
      '/ready': {
        get: operation('ready', 'operate', 'Ready', 'The log can be written, and the hub is not shutting down.', {
          responses: { 200: json('It is', ref('Ready')), 503: json('It is not', ref('NotReady')) },
        }),
      },
      '/openapi.json': {
        get: operation('describe', 'operate', 'This description', 'OpenAPI 3.1.', {
          responses: { 200: json('The description', { type: 'object' }) },
        }),
      },
      '/docs': {
        get: operation('docs', 'operate', 'This description as a page', 'Not on Cloudflare Workers: 404 there.', {
          responses: {
            200: { description: 'The page', content: { 'text/html': { schema: { type: 'string' } } } },
            404: { description: 'Not here', content: { 'text/plain': { schema: { const: 'Page not found' } } } },
          },
        }),
      },
    },
    components: {
      schemas: schemas(),
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'A JSON Web Token with the claim tidings, or an API key',
        },
        cookie: { type: 'apiKey', in: 'cookie', name: cookies.login, description: 'Of POST /login' },
        ticket: { type: 'apiKey', in: 'query', name: 'ticket', description: 'Of POST /ticket, for GET /event' },
      },
    },
    security: [{}, { token: [] }, { cookie: [] }],
  }
}

const schemas = () => ({
  Id: { type: 'string', pattern: '^[A-Za-z0-9._~]{1,40}-[0-9]{1,16}$', examples: [ID] },
  Time: { type: 'string', format: 'date-time' },
  Message: schemaOf(message),
  Batch: { type: 'array', items: ref('Message'), minItems: 1 },
  DemoMessage: schemaOf(demoBody),
  Durability: {
    enum: ['memory', 'process', 'disk', 'quorum'],
    description: 'What it survives: nothing, kill -9, a power cut, the loss of a minority of machines',
  },
  Set: object(
    {
      query: { type: 'object' },
      body: { type: 'object' },
      pathname: { type: 'string' },
      id: ref('Id'),
    },
    ['query', 'body', 'pathname', 'id'],
  ),
  Published: object(
    { id: ref('Id'), topic: { type: 'string' }, durability: ref('Durability'), duplicate: { const: true } },
    ['id', 'topic', 'durability'],
  ),
  PublishedBatch: object(
    {
      ids: { type: 'array', items: ref('Id'), minItems: 1 },
      topic: { type: 'string' },
      topics: { type: 'array', items: { type: 'string' }, description: 'Where they differ, in the order of the list' },
      durability: ref('Durability'),
      duplicates: { type: 'integer', minimum: 1 },
    },
    ['ids', 'durability'],
  ),
  PublishedStream: object(
    {
      taken: { type: 'integer', minimum: 0 },
      lastId: { anyOf: [ref('Id'), { type: 'null' }] },
      topic: { type: 'string' },
      durability: ref('Durability'),
      duplicates: { type: 'integer', minimum: 1 },
      incomplete: {
        const: true,
        description:
          'The body ended inside an item, of which nothing was published: the sender was cut. The whole body sent again with the same `Idempotency-Key` goes on there. Answered in full also with `Prefer: return=minimal`.',
      },
    },
    ['taken', 'lastId', 'durability'],
  ),
  Polled: object(
    {
      events: {
        type: 'array',
        items: object({ id: ref('Id'), event: { type: 'string' }, data: { type: 'string' } }, ['event', 'data']),
      },
      position: { type: 'string', description: 'The lastEventId of the next request' },
      gaps: { type: 'array', items: ref('Gap'), minItems: 1, description: 'What cannot be delivered, in order' },
      gap: {
        allOf: [ref('Gap')],
        deprecated: true,
        description: 'The first of `gaps`. It will be removed: read `gaps`',
      },
      closed: { type: 'array', items: { type: 'string' }, description: 'Topics of which nothing more comes' },
    },
    ['events', 'position'],
  ),
  Gap: object(
    {
      reason: { enum: ['trimmed', 'epoch', 'unknown', 'ahead', 'conflated'] },
      from: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      to: { type: 'string' },
      exact: { type: 'boolean' },
    },
    ['reason', 'from', 'to', 'exact'],
  ),
  Topic: object(
    {
      topic: { type: 'string' },
      lastId: { anyOf: [ref('Id'), { type: 'null' }] },
      kept: { type: 'integer', minimum: 0 },
      readers: { type: 'integer', minimum: 0 },
      closed: { type: 'boolean' },
    },
    ['topic', 'lastId', 'kept', 'readers', 'closed'],
  ),
  Topics: object({ topics: { type: 'array', items: ref('Topic') }, next: { type: 'string' } }, ['topics']),
  Erased: object({ topic: { type: 'string' }, id: ref('Id'), erased: { type: 'integer', minimum: 0 } }, [
    'topic',
    'erased',
  ]),
  Ready: object(
    {
      status: { const: 'ready' },
      durability: ref('Durability'),
      readers: { type: 'integer', minimum: 0 },
      warnings: { type: 'array', items: { type: 'string' }, description: 'What an operator should mend' },
    },
    ['status', 'durability'],
  ),
  NotReady: object({ status: { enum: ['draining', 'log_unavailable', 'log_unusable'] }, detail: { type: 'string' } }, [
    'status',
    'detail',
  ]),
  Problem: {
    ...object(
      {
        type: { const: 'about:blank' },
        title: { type: 'string' },
        status: { type: 'integer' },
        code: { enum: Object.keys(statuses) },
        detail: { type: 'string', description: 'What was wrong, and what would be right' },
        taken: { type: 'integer', minimum: 0, description: 'Of a stream: items that are in the log all the same' },
        lastId: { anyOf: [ref('Id'), { type: 'null' }] },
      },
      ['type', 'title', 'status', 'code', 'detail'],
    ),
    description: 'RFC 9457',
  },
})

const topicInPath = {
  name: 'topic',
  in: 'path',
  required: true,
  description: 'The topic, its slashes as they are',
  schema: { type: 'string' },
  example: 'chat/room-1',
}
const lastEventIdHeader = header('Last-Event-ID', 'The position to go on after; it wins over everything else')
const keyHeader = header('Idempotency-Key', 'The key of one message; of a list or a stream, item n has the key `K/n`')
const preferHeader = header('Prefer', '`return=minimal` answers 204 with the id in a header')

type Query = v.ObjectSchema<v.ObjectEntries, undefined>

interface Operation {
  readonly parameters?: readonly object[]
  readonly requestBody?: object
  readonly responses: Readonly<Record<number, object>>
  /** What it refuses. */
  readonly codes?: readonly Code[]
}

function operation(
  operationId: string,
  tag: string,
  summary: string,
  description: string,
  { responses, codes = [], ...request }: Operation,
) {
  return {
    operationId,
    tags: [tag],
    summary,
    description,
    ...request,
    responses: { ...problems([...anywhere, ...codes]), ...responses },
  }
}

function problems(codes: readonly Code[]): Record<number, object> {
  const found: Record<number, object> = {}
  for (const status of new Set(codes.map((code) => statuses[code]))) {
    const those = [...new Set(codes.filter((code) => statuses[code] === status))].sort()
    const hasRetry = status === 429 || status === 503
    found[status] = {
      description: those.map((code) => `\`${code}\``).join(', '),
      ...(hasRetry && { headers: { 'Retry-After': { description: 'Seconds', schema: { type: 'integer' } } } }),
      content: {
        'application/problem+json': { schema: { allOf: [ref('Problem'), { properties: { code: { enum: those } } }] } },
      },
    }
  }
  return found
}

function parametersOf(query: Query): object[] {
  const { properties = {} } = querySchema(query)
  return Object.entries(properties).map(([name, property]) => {
    const { description, examples, ...schema } = property as JsonSchema
    const [example] = Array.isArray(examples) ? examples : []
    return { name, in: 'query', description, schema, ...(example !== undefined && { example }) }
  })
}

/** A query holds text; its schema says what the text means. */
function querySchema(query: Query): JsonSchema {
  const described = schemaOf(query)
  for (const [name, entry] of Object.entries(query.entries)) {
    const schema = v.unwrap(entry as v.OptionalSchema<v.GenericSchema, undefined>)
    const { shape, examples } = v.getMetadata(schema) as { shape?: JsonSchema; examples?: [] }
    const description = v.getDescription(schema)
    if (shape)
      described.properties![name] = { ...shape, ...(description && { description }), ...(examples && { examples }) }
  }
  return described
}

function schemaOf(schema: v.GenericSchema): JsonSchema {
  const options = { target: 'draft-2020-12', typeMode: 'input', errorMode: 'ignore' } as const
  const { $schema: _, ...described } = toJsonSchema(schema, options)
  return described
}

function header(name: string, description: string) {
  return { name, in: 'header', description, schema: { type: 'string' } }
}

function json(description: string, schema: object) {
  return { description, content: { 'application/json': { schema } } }
}

function object<Properties extends object>(properties: Properties, required: readonly (keyof Properties & string)[]) {
  return { type: 'object', properties, required, additionalProperties: false } as const
}

function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` }
}
