import type { Handler } from 'hono'
import { AppError, type Code } from '../errors.ts'
import { json, object, ref } from './describe.ts'
import type { Description, Door, Routes } from './door.ts'

/** `/health` and `/ready`, for the operator. */
export const health: Routes = (door) => {
  const readiness = ready(door)
  return {
    '/health': { methods: { GET: alive, HEAD: alive }, describe: describeHealth },
    '/ready': { methods: { GET: readiness, HEAD: readiness }, describe: describeReady },
  }
}

/** Error codes that `/ready` reports as they are. Any other error of the log is reported as `log_unusable`. */
const reasons: readonly Code[] = [
  ...(['draining', 'log_locked', 'log_unavailable', 'log_unusable'] as const),
  ...(['outcome_unknown', 'overloaded'] as const),
]

/** `/health`: the process answers. */
const alive: Handler = (c) => c.json({ status: 'ok' }, 200, { 'Cache-Control': 'no-store' })

/**
 * `/ready`: answers 200 if the hub can write and read its log and is not draining, so that it takes messages and readers; otherwise 503
 * with the reason. `warnings` name problems that an operator should fix although the hub works.
 */
function ready({ hub, auth }: Door): Handler {
  return async (c) => {
    c.header('Cache-Control', 'no-store')
    try {
      await hub.check()
      const warnings = await hub.warnings()
      // A closed hub does not tell anonymous clients how many readers it has.
      return c.json({
        status: 'ready',
        durability: await hub.durability(),
        ...(warnings.length > 0 && { warnings }),
        ...(auth.isOpen && { readers: hub.readers }),
      })
    } catch (cause) {
      if (!(cause instanceof AppError)) throw cause
      const status = reasons.includes(cause.code) ? cause.code : 'log_unusable'
      return c.json({ status, detail: cause.message }, 503)
    }
  }
}

function describeHealth(): Description {
  return {
    paths: {
      '/health': {
        get: {
          operationId: 'health',
          tags: ['operate'],
          security: [],
          summary: 'Alive',
          description: 'The process answers.',
          responses: {
            200: json('The process answers', {
              type: 'object',
              properties: { status: { const: 'ok' } },
              required: ['status'],
            }),
          },
        },
      },
    },
  }
}

function describeReady(): Description {
  return {
    paths: {
      '/ready': {
        get: {
          operationId: 'ready',
          tags: ['operate'],
          security: [],
          summary: 'Ready',
          description: 'The hub can write and read its log, and is not shutting down.',
          responses: { 200: json('Ready', ref('Ready')), 503: json('Not ready', ref('NotReady')) },
        },
      },
    },
    schemas: {
      Ready: object(
        {
          status: { const: 'ready' },
          durability: ref('Durability'),
          readers: { type: 'integer', minimum: 0 },
          warnings: { type: 'array', items: { type: 'string' }, description: 'What an operator should fix' },
        },
        ['status', 'durability'],
      ),
      NotReady: object({ status: { enum: reasons }, detail: { type: 'string' } }, ['status', 'detail']),
    },
  }
}
