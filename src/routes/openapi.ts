import type { Handler } from 'hono'
import type { Auth } from '../auth/auth.ts'
import { type Code, statuses } from '../errors.ts'
import { ID, json, object, ref } from './describe.ts'
import type { Description, Door, Operation, PathItem, Route, Table } from './door.ts'

/** Most documents that are kept: each path under which clients reach the hub has its own. */
const MAX_DOCUMENTS = 10

/** `GET /openapi.json`: the document that describes the routes of these tables, and the route of the document. */
export function openapi(tables: readonly Table[], { auth, base }: Pick<Door, 'auth' | 'base'>): Table {
  const documents = new Map<string, string>()
  const answer: Handler = (c) => {
    const url = base(c) || '/'
    const text = documents.get(url) ?? JSON.stringify({ ...describeAll(), servers: [{ url }] })
    if (documents.size < MAX_DOCUMENTS) documents.set(url, text)
    return c.body(text, 200, { 'Content-Type': 'application/json' })
  }
  const table = { '/openapi.json': { methods: { GET: answer, HEAD: answer }, describe } }
  const describeAll = () => {
    const routes = [...tables, table].flatMap((table): Route[] => Object.values(table))
    return documentOf(
      routes.flatMap(({ describe }) => describe?.() ?? []),
      auth,
    )
  }
  return table
}

/**
 * Joins descriptions into an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1). An open hub asks nobody for credentials, so its
 * document names none.
 *
 * @throws if two give a schema the same name
 */
function documentOf(descriptions: readonly Description[], { isOpen, cookies }: Pick<Auth, 'isOpen' | 'cookies'>) {
  const paths: Record<string, object> = {}
  const schemas: Record<string, object> = {}
  for (const described of [common, ...descriptions]) {
    for (const [path, item] of Object.entries(described.paths)) paths[path] = describePath(item, isOpen)
    for (const [name, schema] of Object.entries(described.schemas ?? {})) {
      if (Object.hasOwn(schemas, name)) throw new Error(`Cannot describe two schemas as "${name}": rename one of them`)
      schemas[name] = schema
    }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Tidings',
      version: '0.1.0',
      summary: 'A Server-Sent Events hub',
      description:
        'Publish with curl, subscribe with EventSource, never lose an event without being told. Errors are `application/problem+json` with a stable `code`; unknown paths are 404 with `text/plain`.',
      contact: { name: 'The operator of this hub' },
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: [
      { name: 'publish', description: 'Write to the log' },
      { name: 'subscribe', description: 'Read from the log' },
      { name: 'topics', description: 'List, show and delete topics' },
      { name: 'runs', description: 'Topics with a producer, which always end' },
      { name: 'auth', description: 'Log in, renew and revoke; for hubs with keys' },
      { name: 'operate', description: 'For operators' },
    ],
    paths,
    components: {
      schemas,
      ...(!isOpen && { securitySchemes: securitySchemes(cookies.login) }),
    },
    security: isOpen ? [] : [{}, { token: [] }, { cookie: [] }],
  }
}

const securitySchemes = (cookie: string) => ({
  token: { type: 'http', scheme: 'bearer', description: 'A JSON Web Token with the claim tidings, or an API key' },
  cookie: { type: 'apiKey', in: 'cookie', name: cookie, description: 'The cookie of POST /login' },
  ticket: { type: 'apiKey', in: 'query', name: 'ticket', description: 'A ticket of POST /ticket, for GET /event' },
})

/** Replaces the codes of a path item's operations by problem responses. Leaves out credentials if the hub is open. */
function describePath({ parameters, ...operations }: PathItem, isOpen: boolean): object {
  const described = Object.entries(operations).map(
    ([method, { codes = [], responses, security, ...rest }]: [string, Operation]) => [
      method,
      {
        ...rest,
        ...(security && !isOpen && { security }),
        responses: { ...problemsOf(['host_forbidden', 'internal', ...codes]), ...responses },
      },
    ],
  )
  return { ...(parameters && { parameters }), ...Object.fromEntries(described) }
}

/** Describes a problem response for each status of the codes. */
function problemsOf(codes: readonly Code[]): Record<number, object> {
  const problems: Record<number, object> = {}
  for (const status of new Set(codes.map((code) => statuses[code]))) {
    const ofStatus = [...new Set(codes.filter((code) => statuses[code] === status))].sort()
    const hasRetry = status === 429 || status === 503
    problems[status] = {
      description: ofStatus.map((code) => `\`${code}\``).join(', '),
      ...(hasRetry && { headers: { 'Retry-After': { description: 'Seconds', schema: { type: 'integer' } } } }),
      content: {
        'application/problem+json': {
          schema: { allOf: [ref('Problem'), { properties: { code: { enum: ofStatus } } }] },
        },
      },
    }
  }
  return problems
}

/** Schemas that routes share. */
const common: Description = {
  paths: {},
  schemas: {
    Id: { type: 'string', pattern: '^[A-Za-z0-9._~]{1,40}-[0-9]{1,16}$', examples: [ID] },
    Time: { type: 'string', format: 'date-time' },
    Gap: object(
      {
        reason: { enum: ['trimmed', 'epoch', 'unknown', 'ahead', 'conflated'] },
        from: { anyOf: [{ type: 'string' }, { type: 'null' }] },
        to: { type: 'string' },
        exact: { type: 'boolean' },
      },
      ['reason', 'from', 'to', 'exact'],
    ),
    Durability: {
      enum: ['memory', 'process', 'disk', 'quorum'],
      description:
        'What a published message survives: nothing, kill -9, a power cut, the loss of a minority of machines',
    },
    Problem: {
      ...object(
        {
          type: { const: 'about:blank' },
          title: { type: 'string' },
          status: { type: 'integer' },
          code: { enum: Object.keys(statuses) },
          detail: { type: 'string', description: 'What is wrong, and what would be right' },
          leaseEnd: {
            type: 'string',
            format: 'date-time',
            description: 'With `run_taken`: when the lease of the other producer ends',
          },
          taken: {
            type: 'integer',
            minimum: 0,
            description: 'Of a body that streams: the number of items that are in the log despite the error',
          },
          lastId: { anyOf: [ref('Id'), { type: 'null' }] },
          gap: ref('Gap'),
        },
        ['type', 'title', 'status', 'code', 'detail'],
      ),
      description: 'RFC 9457',
    },
  },
}

function describe(): Description {
  return {
    paths: {
      '/openapi.json': {
        get: {
          operationId: 'describe',
          tags: ['operate'],
          security: [],
          summary: 'This description',
          description: 'Describes this interface in OpenAPI 3.1.',
          responses: { 200: json('The description', { type: 'object' }) },
        },
      },
    },
  }
}
