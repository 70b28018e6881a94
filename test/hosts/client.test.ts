import { Hono } from 'hono'
import { hc } from 'hono/client'
import { afterEach, beforeEach, expect, expectTypeOf, test } from 'vitest'
import { type AppType, createApp, Hub, memoryLog } from '../../src/index.ts'
import type { AppSchema } from '../../src/routes/app-schema.ts'

let hub: Hub

beforeEach(() => {
  hub = new Hub(memoryLog)
})
afterEach(() => hub.close())

const clientOf = () => {
  const app = createApp({ hub })
  return hc<AppType>('http://localhost', { fetch: app.request })
}

test("Hono's client publishes, reads and lists with the parameters and the answers that its types say", async () => {
  const client = clientOf()
  const sent = await client.send.$post({ query: { topic: 'chat/1' }, json: { data: { n: 1 }, key: 'k' } })
  if (!sent.ok) throw new Error((await sent.json()).code)
  const answer = await sent.json()
  if (!('durability' in answer) || 'ids' in answer) throw new Error('One message has one id')
  expectTypeOf(answer.id).toEqualTypeOf<string>()
  expect(answer).toMatchObject({ topic: 'chat/1', durability: 'memory' })

  const topics = await client.topics.$get({ query: { prefix: 'chat/' } })
  if (!topics.ok) throw new Error((await topics.json()).code)
  expect((await topics.json()).topics.map(({ topic, kept }) => [topic, kept])).toEqual([['chat/1', 1]])
  const topic = await client.topics[':topic'].$get({ param: { topic: 'chat/1' } })
  expect(await topic.json()).toMatchObject({ lastId: answer.id })

  const query = { topic: ['chat/*'], from: 'earliest' } as const
  const polled = await client.event.$get({
    query: { ...query, topic: [...query.topic] },
    header: { Accept: 'application/json' },
  })
  expect(await polled.json()).toMatchObject({ events: [{ data: '{"n":1}' }] })
})

test('a refusal has the type of a problem', async () => {
  const refused = await clientOf().send.$post({ query: { topic: 'a b' }, json: { data: 'x' } })
  expect(refused.status).toBe(400)
  if (refused.ok) throw new Error('A topic holds no space')
  expect((await refused.json()).code).toBe('topic_invalid')
})

test('a misspelt parameter and a wrong field do not compile, and are refused', async () => {
  const client = clientOf()
  // @ts-expect-error the parameter is named topic
  const misspelt = await client.event.$get({ query: { topics: ['a'] } })
  expect(misspelt.status).toBe(400)
  // @ts-expect-error the field is named data
  const wrong = await client.send.$post({ query: { topic: 'a' }, json: { datum: 'x' } })
  expect(wrong.status).toBe(400)
})

test('the client of a host knows an app that is mounted, with its path', async () => {
  const host = new Hono().get('/hello', (c) => c.text('hello')).route('/live', createApp({ hub }))
  const client = hc<typeof host>('http://localhost', { fetch: host.request })
  expect(await (await client.hello.$get()).text()).toBe('hello')
  const ready = await client.live.ready.$get()
  expect(await ready.json()).toMatchObject({ status: 'ready', durability: 'memory' })
  expect(String(client.live.event.$url({ query: { topic: ['a'] } }))).toContain('/live/event')
})

test('the types have every route of an app, with its methods, and no other', () => {
  const methods: { [Path in keyof AppSchema]: readonly (keyof AppSchema[Path])[] } = {
    '/send': ['$get', '$post'],
    '/event': ['$get'],
    '/topics': ['$get'],
    '/topics/:topic': ['$get', '$delete'],
    '/runs': ['$get'],
    '/runs/:topic': ['$get', '$post', '$patch'],
    '/stop': ['$post'],
    '/topics/:topic/:id': ['$delete'],
    '/login': ['$post', '$delete'],
    '/ticket': ['$post'],
    '/streams/:stream': ['$post'],
    '/revoke': ['$post'],
    '/health': ['$get'],
    '/ready': ['$get'],
    '/openapi.json': ['$get'],
  }
  const typed = Object.keys(methods).filter((path) => path !== '/topics/:topic/:id')
  const isOfPage = (path: string) => path === '' || path === '/' || path === '/docs' || /\.(js|css|svg)$/.test(path)
  const paths = createApp({ hub }).routes.map(({ path }) => path.replace(/\{.*\}$/, ''))
  expect(paths.filter((path) => !isOfPage(path) && path !== '/*').toSorted()).toEqual(typed.toSorted())
})
