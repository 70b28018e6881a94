import * as v from 'valibot'
import { codesOf, header, json, object, parametersOf, ref, schemaOf } from './describe.ts'
import type { Description } from './door.ts'
import { messageSchema } from './message.ts'
import { grace, lease } from './run-times.ts'
import { described, flag } from './schema.ts'
import { shapes } from './shapes.ts'

/** The parameters of `/send`. */
export const sendQuery = v.object({
  topic: v.optional(
    described(
      v.string(),
      'The topic to publish to; if neither the query nor the body names one, the store is set',
      'chat/room-1',
      shapes.topic,
    ),
  ),
  message: v.optional(described(v.string(), 'The message to set the store to. Not beside a topic')),
  raw: v.optional(flag('The data is the body as it is, of any textual type. Needs `topic`')),
  event: v.optional(
    described(
      v.string(),
      'The event name of a raw body; `message` if left out. Needs `raw=true`',
      'push',
      shapes.event,
    ),
  ),
  run: v.optional(
    lease('Publishes a body that streams in as a whole run with this lease: see `/runs/{topic}`. Needs `topic`'),
  ),
  grace: v.optional(grace('How long after the lease the hub ends the run; one lease if left out')),
  done: v.optional(
    described(
      v.string(),
      'The data of the event that ends the run; `[DONE]` if left out. Only for an event stream',
      '[DONE]',
    ),
  ),
})

/** The body that sets the store. The response echoes all of its fields. */
const demoBody = v.pipe(
  v.looseObject({
    message: v.optional(described(v.string(), 'The message to set the store to, unless the query has it', 'hi')),
  }),
  v.description(
    'Without a topic, in the query and here: sets the store, and is echoed. Beside a topic, `message` is refused with 400 `field_unknown`: a message for a topic has `data`.',
  ),
)

const codes = [
  ...[...codesOf.query, ...codesOf.grant, ...codesOf.append],
  ...(['cross_site', 'message_missing', 'parameter_unknown', 'too_many_fields'] as const),
]

const tags = ['publish']

/** Describes `/send`. */
export function describeSend(): Description {
  return {
    paths: { '/send': { get: describeSet(), post: describePublish() } },
    schemas: schemas(),
  }
}

function describeSet() {
  const { message } = sendQuery.entries
  const [parameter] = parametersOf(v.object({ message }))
  return {
    operationId: 'set',
    tags,
    summary: 'Set the store',
    description: 'Sets the message that the demo stream repeats. Requests from other sites are refused.',
    parameters: [{ ...parameter, required: true }],
    responses: { 200: json('The request, and the id of the message', ref('Set')) },
    codes: [...codes, 'method_not_allowed'] as const,
  }
}

/** The types that a body may have besides JSON. */
const others = [
  '`application/x-www-form-urlencoded` and `multipart/form-data`: the fields of a message',
  '`text/plain`: the data',
  '`application/x-ndjson` and `application/ndjson`: a message a line, published while the lines arrive',
  '`text/event-stream`: events, published while they arrive',
  '`application/cloudevents+json` and `application/cloudevents-batch+json`: CloudEvents, each whole as the data of an event',
  'with `raw=true`, every textual type: the data, as it is',
]

const description = `Publishes to the topic of the query or the body. A list is published whole or not at all. Without a topic, the request sets the store, and \`event\`, \`run\`, \`grace\` and \`done\` are refused.

A body may have other types than JSON. They are listed here and not as media types of the body: where there are several, the clients of some generators leave out the Content-Type, and the JSON they send would be published as plain text.

${others.map((other) => `- ${other}`).join('\n')}

Of a body that streams in, a bad item ends the request, and \`taken\` is the number of items before it. With \`Idempotency-Key: K\`, item n has the key \`K/n\`, and sending the same body again continues there. If the body ends inside an item, the answer has \`incomplete\`. If the client disconnects or the time for the body is over, nothing is published after the items that are being committed. The number of bodies that stream at the same time is limited.

With \`run=15s\`, the body is a whole run: the hub claims the topic, and bytes that arrive are signs of life. The body ends the run by an item with \`close\`, or in an event stream by an event whose data is \`[DONE]\`, or what \`done\` names. After any other end of the body the lease goes on, and then the hub closes the topic as \`abandoned\`: readers are told. Sending the body again with the same \`Idempotency-Key\` takes the run up again; if the run has ended, the answer says so again.`

function describePublish() {
  return {
    operationId: 'publish',
    tags,
    summary: 'Publish to a topic, or set the store',
    description,
    parameters: [
      ...parametersOf(sendQuery),
      header(
        'Idempotency-Key',
        'The key of a message; item n of a list or a stream has the key `K/n`',
        shapes.headerKey,
      ),
      header('Tidings-Run', 'The token of the claim under which a producer publishes: see `/runs/{topic}`'),
      header('Prefer', '`return=minimal` answers 204 with the id in a header'),
    ],
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
      },
    },
    responses: {
      200: json('What was published', {
        anyOf: [ref('Published'), ref('PublishedBatch'), ref('PublishedStream'), ref('Set')],
      }),
      204: {
        description: 'Published, with `Prefer: return=minimal` and a complete body',
        headers: {
          'Tidings-Id': { description: 'The last id', schema: ref('Id') },
          'Preference-Applied': { schema: { const: 'return=minimal' } },
        },
      },
    },
    codes: [
      ...[...codes, ...codesOf.body, ...codesOf.topic],
      ...(['batch_too_long', 'data_missing', 'draining', 'event_invalid', 'field_unknown'] as const),
      ...(['retry_invalid', 'stream_idle', 'stream_too_long', 'stream_too_slow', 'too_many_bodies'] as const),
      ...([
        'topic_closed',
        'topic_conflict',
        'topic_missing',
        'outcome_invalid',
        'run_lost',
        'run_taken',
        'too_many_runs',
      ] as const),
    ],
  } as const
}

const stop = { const: true, description: 'Somebody has asked the producer of the run to stop' } as const

const schemas = () => ({
  Message: schemaOf(messageSchema),
  Batch: { type: 'array', items: ref('Message'), minItems: 1 },
  DemoMessage: schemaOf(demoBody),
  Set: object({ query: { type: 'object' }, body: { type: 'object' }, pathname: { type: 'string' }, id: ref('Id') }, [
    'query',
    'body',
    'pathname',
    'id',
  ]),
  Published: object(
    { id: ref('Id'), topic: { type: 'string' }, durability: ref('Durability'), duplicate: { const: true }, stop },
    ['id', 'topic', 'durability'],
  ),
  PublishedBatch: object(
    {
      ids: { type: 'array', items: ref('Id'), minItems: 1 },
      topic: { type: 'string' },
      topics: {
        type: 'array',
        items: { type: 'string' },
        description: 'If the messages have different topics: the topic of each, in the order of the list',
      },
      durability: ref('Durability'),
      duplicates: { type: 'integer', minimum: 1 },
      stop,
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
      fence: { type: 'integer', minimum: 1, description: 'For a body that is a run: the number of its claim' },
      ended: { const: true, description: 'The body has ended its run' },
      stopped: { const: true, description: 'Somebody asked for a stop: the run has ended, the rest was not read' },
      leaseEnd: {
        type: 'string',
        format: 'date-time',
        description: 'The body has not ended its run, whose lease ends then',
      },
      stop,
      incomplete: {
        const: true,
        description:
          'The body ended inside an item, because the sender was cut off; nothing of the item was published. Sending the whole body again with the same `Idempotency-Key` continues there. `Prefer: return=minimal` does not shorten this answer.',
      },
    },
    ['taken', 'lastId', 'durability'],
  ),
})
