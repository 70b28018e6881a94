import * as v from 'valibot'
import { codesOf, header, json, object, parametersOf, ref } from './describe.ts'
import type { Description } from './door.ts'
import { grace, lease } from './run-times.ts'
import { described, whole } from './schema.ts'
import { shapes } from './shapes.ts'

/** Runs of a page: the default of `limit`, and the highest value. */
export const PAGE = 100
export const MAX_PAGE = 1000

/** The parameters of `GET /runs`. */
export const runsQuery = v.object({
  prefix: v.optional(described(v.string(), 'The beginning of the topics', 'ai/')),
  after: v.optional(
    described(v.string(), 'The topic that precedes the page: `next` of the previous page', 'ai/answer-1'),
  ),
  limit: v.optional(whole('Most runs of the page; 100 if left out', 1, MAX_PAGE, PAGE)),
})

/** The parameters of a claim. */
export const claimQuery = v.object({
  lease: v.optional(lease('How long the producer may give no sign of life; `15s` if left out')),
  grace: v.optional(
    grace(
      'How long after the lease another producer may take over, before the hub ends the run; one lease if left out',
    ),
  ),
})

/** The parameters of `/stop`. */
export const stopQuery = v.object({
  topic: v.optional(described(v.string(), 'The topic of the run', 'ai/answer-1', shapes.topic)),
  fence: v.optional(whole('Stops the run only if its present claim has this number', 1, 999_999_999, 1)),
})

const tags = ['runs']
const topic = {
  name: 'topic',
  in: 'path',
  required: true,
  description: 'The topic. Its slashes may be escaped or not',
  schema: shapes.topic,
  example: 'ai/answer-1',
}
const token = header('Tidings-Run', 'The token of the claim', { type: 'string', pattern: '^[\\x21-\\x7e]{1,100}$' })
const showing = [...codesOf.grant, ...codesOf.topic, 'encoding_invalid'] as const
const changing = [...showing, 'cross_site', 'outcome_unknown', 'rate_limited', 'topic_closed'] as const

/** Describes `/runs`. */
export function describeRuns(): Description {
  return {
    paths: {
      '/runs': {
        get: {
          operationId: 'listRuns',
          tags,
          summary: 'List runs',
          description: 'Lists the runs of topics that the client may read, active or ended, by topic.',
          parameters: parametersOf(runsQuery),
          responses: { 200: json('A page', ref('Runs')) },
          codes: [...codesOf.query, ...codesOf.grant, 'rate_limited'],
        },
      },
    },
    schemas: { Runs: object({ runs: { type: 'array', items: ref('Run') }, next: { type: 'string' } }, ['runs']) },
  }
}

/** Describes `/runs/<topic>`. */
export function describeRun(): Description {
  return {
    paths: {
      '/runs/{topic}': {
        parameters: [topic],
        get: {
          operationId: 'showRun',
          tags,
          summary: 'Show a run',
          description: 'Shows the run of a topic, which may have ended.',
          responses: { 200: json('The run', ref('Run')) },
          codes: [...showing, 'run_unknown'],
        },
        post: {
          operationId: 'claimRun',
          tags,
          summary: 'Claim a topic',
          description:
            'Makes the client the only producer of a topic, for the time of a lease. Every publish with the token, and every renewal, begins the lease anew. After the lease another producer may claim the topic. If none does, the hub closes the topic as `abandoned` after the grace. A claim with the same `Idempotency-Key` takes over at once.',
          parameters: [...parametersOf(claimQuery), header('Idempotency-Key', 'Names the producer', shapes.headerKey)],
          responses: { 201: json('The claim', ref('Claim')) },
          codes: [...changing, ...codesOf.query, 'key_invalid', 'run_taken', 'too_many_runs'],
        },
        patch: {
          operationId: 'changeRun',
          tags,
          summary: 'Renew or end a run',
          description:
            'Renews the lease of the producer. With an outcome in the body, ends the run and closes its topic.',
          parameters: [token],
          requestBody: { content: { 'application/json': { schema: ref('Ending') } } },
          responses: { 200: json('The run', ref('Run')) },
          codes: [...changing, ...codesOf.body, 'outcome_invalid', 'overloaded', 'parameter_invalid', 'run_lost'],
        },
      },
    },
    schemas: {
      Run: object(run, ['topic', 'fence', 'leaseMs', 'graceMs', 'isStopAsked', 'lastId']),
      Claim: object({ ...run, token: { type: 'string', description: 'Proves the claim, in `Tidings-Run`' } }, [
        ...(['topic', 'fence', 'leaseMs', 'graceMs', 'isStopAsked', 'lastId', 'token'] as const),
      ]),
      Ending: {
        anyOf: [
          object({ outcome: { enum: ['done', 'stopped'], default: 'done' } }, []),
          object(
            { outcome: { const: 'failed' }, detail: { ...shapes.detail, description: 'Why the run has failed' } },
            ['outcome'],
          ),
        ],
      },
    },
  }
}

/** Describes `/stop`. */
export function describeStop(): Description {
  return {
    paths: {
      '/stop': {
        post: {
          operationId: 'stopRun',
          tags,
          summary: 'Ask a producer to stop',
          description:
            'Asks the producer of a topic to end its run. Every answer to the producer tells it. If nobody has claimed the topic yet, the first claim within ten minutes is told, unless `fence` names a claim. Needs a grant to publish to `$stop/<topic>`.',
          parameters: parametersOf(v.object({ ...stopQuery.entries })).map((parameter) =>
            (parameter as { name: string }).name === 'topic' ? { ...parameter, required: true } : parameter,
          ),
          responses: {
            200: json('The run', ref('Run')),
            202: json('Nobody has claimed the topic yet; without `fence` the first claim is told', ref('StopAsked')),
          },
          codes: [...changing, ...codesOf.query, 'topic_missing'],
        },
      },
    },
    schemas: {
      StopAsked: object({ topic: { type: 'string' }, isStopAsked: { type: 'boolean' } }, ['topic', 'isStopAsked']),
    },
  }
}

/** What a run is shown with, besides its topic. */
export const runProperties = {
  fence: { type: 'integer', minimum: 1, description: 'Rises by 1 with each claim of the topic' },
  leaseMs: { type: 'integer', minimum: 0 },
  graceMs: { type: 'integer', minimum: 0 },
  leaseEnd: { type: 'string', format: 'date-time', description: 'Missing once the run has ended' },
  isStopAsked: { type: 'boolean' },
  outcome: { enum: ['done', 'failed', 'stopped', 'abandoned'], description: 'Missing until the run has ended' },
  detail: { type: 'string' },
} as const

const run = {
  topic: { type: 'string' },
  ...runProperties,
  lastId: { anyOf: [ref('Id'), { type: 'null' }] },
} as const
