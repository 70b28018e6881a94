import { Validator } from '@seriousme/openapi-schema-validator'
import { Hono } from 'hono'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import { core, Filter, memoryLog, type Route, type Routes } from '../../src/index.ts'
import { envOf } from '../../src/routes/connection.ts'
import { SECRET, token } from '../auth/suite.ts'
import { Reader } from '../reader.ts'

/** Notes of a person: a table of routes that uses nothing but what the app passes to a table. */
const notes: Routes = ({ hub, authorize, base, grantOf, readBody, spend, openStream }) => ({
  '/notes/:name': {
    isGetUnsafe: true,
    methods: {
      GET: (c) =>
        openStream(c, {
          filter: Filter.parse([`notes/${c.req.param('name')}`]),
          lastEventId: c.req.header('last-event-id') ?? '',
        }),
      PUT: async (c) => {
        const topic = `notes/${c.req.param('name')}`
        authorize(await grantOf(c), 'publish', topic)
        const body = await readBody(c)
        await spend(c, 1)
        const [published] = await hub.publish([{ topic, data: body.kind === 'text' ? body.text : '' }])
        return c.json({ id: published!.id, url: `${base(c)}/notes/${c.req.param('name')}` })
      },
    },
    describe: () => ({
      paths: {
        '/notes/{name}': {
          parameters: [{ name: 'name', in: 'path', required: true, schema: { type: 'string' } }],
          put: {
            operationId: 'note',
            tags: ['notes'],
            summary: 'Take a note',
            description: 'Publishes a note.',
            requestBody: { content: { 'text/plain': { schema: { type: 'string' } } } },
            responses: {
              200: {
                description: 'The note',
                content: { 'application/json': { schema: { $ref: '#/components/schemas/Note' } } },
              },
            },
            codes: ['forbidden', 'token_missing'],
          },
        },
      },
      schemas: { Note: { type: 'object', properties: { id: { $ref: '#/components/schemas/Id' } } } },
    }),
  },
})

const at = 'http://localhost'

function open(settings: Record<string, string> = { AUTH_SECRET: SECRET }) {
  const hub = new Hub(memoryLog)
  onTestFinished(() => hub.close())
  return { hub, app: createApp({ hub, config: parseConfig(settings), routes: [core, notes] }) }
}

const bearer = async (claims: object) => ({
  authorization: `Bearer ${await token(claims, { iss: undefined, aud: undefined })}`,
})

async function* chunksOf(response: Response) {
  for await (const chunk of response.body!) yield chunk
}

test.each([
  ['at the root', '', (app: Hono) => app],
  ['mounted under a path', '/live', (app: Hono) => new Hono().route('/live', app)],
])('a table of routes of a host authorizes clients and opens a stream, %s', async (_, path, under) => {
  const app = under(open().app)
  const ask = (method: string, headers: Record<string, string>, body?: string) =>
    app.request(`${at}${path}/notes/ann`, { method, headers, ...(body !== undefined && { body }) })
  const mine = await bearer({ publish: ['notes/ann'], subscribe: ['notes/ann'] })
  const other = await bearer({ publish: ['notes/bob'], subscribe: ['notes/bob'] })
  for (const method of ['GET', 'PUT']) {
    expect([method, (await ask(method, {})).status]).toEqual([method, 401])
    expect([method, (await ask(method, other)).status]).toEqual([method, 403])
  }
  const stream = await ask('GET', mine)
  const reader = new Reader().follow(chunksOf(stream))
  onTestFinished(() => stream.body!.cancel().catch(() => {}))
  const written = await ask('PUT', { ...mine, 'content-type': 'text/plain' }, 'milk')
  expect(await written.json()).toEqual({ id: expect.any(String), url: `${path}/notes/ann` })
  await reader.gets('milk')
  expect(stream.headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'")
  const refused = await ask('POST', mine)
  expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, PUT'])
})

test('the routes of a host are guarded like ours, stand beside ours, and may be polled', async () => {
  const { hub, app } = open({})
  const ask = (path: string, headers: Record<string, string> = {}) => app.request(`${at}${path}`, { headers })
  expect((await ask('/notes/ann', { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
  expect((await ask('/health')).status).toBe(200)
  const [, first] = await hub.publish(['one', 'two', 'three'].map((data) => ({ topic: 'notes/ann', data })))
  const polled = await ask('/notes/ann', { accept: 'application/json', 'last-event-id': first!.id })
  expect(await polled.json()).toMatchObject({ events: [{ data: 'three' }] })
})

test('a stream that a route of a host opens is handed to the carrier of the runtime', async () => {
  const { app } = open({})
  const taken: Subscription[] = []
  const takeOver = (subscription: Subscription) => {
    taken.push(subscription)
    return () => {}
  }
  const response = await app.request(`${at}/notes/ann`, {}, envOf({ takeOver }))
  expect([response.status, response.body, taken.length]).toEqual([200, null, 1])
  taken[0]!.close()
})

test('the routes of a host are in the OpenAPI description of the app, which stays valid', async () => {
  const { app } = open()
  const text = await (await app.request(`${at}/openapi.json`)).text()
  const { valid, errors } = await new Validator().validate(JSON.parse(text))
  expect([valid, errors]).toEqual([true, undefined])
  const { paths, components } = JSON.parse(text)
  expect(components.schemas).toHaveProperty('Note')
  expect(paths['/notes/{name}'].put.responses).toMatchObject({
    200: { description: 'The note' },
    401: { description: '`token_missing`' },
    403: { description: '`forbidden`, `host_forbidden`' },
  })
  expect(paths).toHaveProperty('/send')
})

test('a page of a listed origin may use the methods of the routes of a host', async () => {
  const { app } = open({ CORS_ORIGINS: 'https://app.example' })
  const headers = { origin: 'https://app.example', 'access-control-request-method': 'PUT' }
  const preflight = await app.request(`${at}/notes/ann`, { method: 'OPTIONS', headers })
  expect(preflight.headers.get('access-control-allow-methods')?.split(',')).toContain('PUT')
})

const answer: Route = { methods: { GET: (c) => c.text('mine') } }

test.each([
  ['/send', 'the same path'],
  ['/topics/:name{[^]+}', 'the same pattern'],
  ['/topics/news', 'a path that a pattern of another table takes'],
  ['/streams/:name', 'a pattern with another name for its parameter'],
  ['/', 'a path of the page'],
  ['/openapi.json', 'the path of the description'],
])('an app refuses a second table with the path %s: %s', (path) => {
  const hub = new Hub(memoryLog)
  const routes: Routes[] = [core, () => ({ [path]: answer })]
  expect(() => createApp({ hub, routes })).toThrow('another table has')
})

test('an app may have only the routes of a host, without ours', async () => {
  const app = createApp({ hub: new Hub(memoryLog), routes: [() => ({ '/send': answer })] })
  expect(await (await app.request(`${at}/send`)).text()).toBe('mine')
  expect((await app.request(`${at}/event`)).status).toBe(404)
})

test('two tables cannot describe two schemas under one name: /openapi.json answers 500', async () => {
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => logged.mockRestore())
  const described: Routes = () => ({ '/mine': { ...answer, describe: () => ({ paths: {}, schemas: { Topic: {} } }) } })
  const app = createApp({ hub: new Hub(memoryLog), routes: [core, described] })
  expect((await app.request(`${at}/openapi.json`)).status).toBe(500)
  expect(logged.mock.calls).toEqual([[expect.stringContaining('Cannot describe two schemas')]])
})
