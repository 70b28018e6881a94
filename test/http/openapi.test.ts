import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, onTestFinished, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { statuses } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import app, { memoryLog } from '../../src/index.ts'
import { PAGES } from '../../src/routes/page.ts'
import { SECRET } from '../auth/suite.ts'

interface Described {
  readonly security: readonly object[]
  readonly paths: Record<string, Record<string, { operationId: string; security?: readonly object[] }>>
  readonly components: { readonly securitySchemes?: object }
}

const document = (await (await app.request('/openapi.json')).json()) as {
  paths: Record<string, Record<string, { responses: Record<string, { description: string }> }>>
  components: { schemas: Record<string, { description?: string }> }
}

test('a public validator accepts the description as OpenAPI 3.1', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as never)
  expect(errors).toBeUndefined()
  expect(valid).toBe(true)
  expect(document).toMatchObject({ openapi: expect.stringMatching(/^3\.1\./) })
})

test('the description of a hub with keys names its credentials, except for routes that take none; that of an open hub names none', async () => {
  const hub = new Hub(memoryLog)
  onTestFinished(() => hub.close())
  const closed = createApp({ hub, config: parseConfig({ AUTH_SECRET: SECRET }) })
  const securityOf = async (hub: typeof app) => {
    const { security, paths, components } = (await (await hub.request('/openapi.json')).json()) as Described
    const operations = Object.values(paths).flatMap((item) => Object.values(item))
    return {
      all: security,
      own: Object.fromEntries(
        operations.flatMap(({ operationId, security }) => (security ? [[operationId, security]] : [])),
      ),
      schemes: Object.keys(components.securitySchemes ?? {}),
    }
  }
  const free = { page: [], docs: [], describe: [], health: [], ready: [] }
  const withTicket = [{}, { token: [] }, { cookie: [] }, { ticket: [] }]
  expect(await securityOf(closed)).toEqual({
    all: [{}, { token: [] }, { cookie: [] }],
    own: { ...free, subscribe: withTicket, subscribeByBody: withTicket },
    schemes: ['token', 'cookie', 'ticket'],
  })
  expect(await securityOf(app)).toEqual({ all: [], own: {}, schemes: [] })
})

test('the description lists every method of every route', async () => {
  const paths = app.routes
    .map(({ path }) => path)
    .filter((path) => path !== '/*' && !PAGES.includes(path) && path !== '')
  expect(paths.length).toBeGreaterThan(10)
  for (const path of paths) {
    const template = path.replace(/:(\w+)(\{[^}]*\})?/, '{$1}')
    const refused = await app.request(template, { method: 'PROPFIND' })
    expect(refused.status).toBe(405)
    const methods = refused.headers.get('allow')!.split(', ')
    for (const method of methods) {
      if (method === 'QUERY' || method === 'HEAD') continue // OpenAPI 3.1 cannot describe QUERY, and HEAD is described by GET
      expect(document.paths[template]?.[method.toLowerCase()], `${method} ${path}`).toBeDefined()
    }
  }
})

test('the body of POST /send is described with JSON alone: generated clients would send JSON as text beside other types', () => {
  const { requestBody, description } = document.paths['/send']!.post as unknown as {
    requestBody: { content: object }
    description: string
  }
  expect(Object.keys(requestBody.content)).toEqual(['application/json'])
  for (const type of [
    'text/plain',
    'x-ndjson',
    'text/event-stream',
    'multipart/form-data',
    'cloudevents+json',
    'raw=true',
  ])
    expect(description).toContain(type)
})

test('parameters that exclude each other name each other, and a form cannot have two of them', () => {
  type Parameters = { parameters: { name: string; description: string }[]; requestBody?: { content: object } }
  const { parameters, requestBody } = document.paths['/event']!.post as unknown as Parameters
  const exclusive = ['from', 'last', 'since']
  const [form] = Object.values(requestBody!.content) as { schema: object }[]
  const validate = new Ajv2020({ strict: false }).compile(form!.schema)
  for (const [i, name] of exclusive.entries()) {
    const { description } = parameters.find((parameter) => parameter.name === name)!
    for (const other of exclusive.toSpliced(i, 1)) {
      expect(description).toContain(`\`${other}\``)
      const one = { from: 'earliest', last: 1, since: '1m' }
      const both = Object.fromEntries(Object.entries(one).filter(([key]) => key === name || key === other))
      expect([both, validate(both)]).toEqual([both, false])
    }
  }
  expect(validate({ topic: ['a'], last: 1 })).toBe(true)
})

test('the description says what a message with message gets', () => {
  for (const name of ['Message', 'DemoMessage'])
    expect(document.components.schemas[name]!.description).toMatch(/`message`.* 400 `field_unknown`/)
})

test('the description lists every code of a refusal, and explains every parameter', () => {
  const text = JSON.stringify(Object.values(document.paths).flatMap((path) => Object.values(path)))
  const never = ['config_invalid', 'log_locked', 'run_failed', 'run_stopped'] // they end a start or a stream, not a request
  for (const code of Object.keys(statuses))
    expect([code, text.includes(`\`${code}\``)]).toEqual([code, !never.includes(code)])
  for (const path of Object.values(document.paths))
    for (const { parameters = [] } of Object.values(path) as { parameters?: Record<string, unknown>[] }[])
      for (const parameter of parameters) expect(parameter, `${parameter.name}`).toHaveProperty('description')
})
