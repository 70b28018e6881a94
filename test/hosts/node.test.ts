import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express } from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { readFile } from '../../src/adapters/files.ts'
import { handler, type NodeEnv } from '../../src/adapters/handler.ts'
import { createApp, Hub, memoryLog, type SessionGrant } from '../../src/index.ts'

/** The globals before any app was served. */
const own = [globalThis.Request, globalThis.Response]
let hub: Hub
let app: ReturnType<typeof createApp>

beforeEach(() => {
  hub = new Hub(memoryLog)
  app = createApp({ hub, files: readFile })
})
afterEach(() => hub.close())

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close().closeAllConnections())
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const post = (url: string, type: string, body: BodyInit) =>
  fetch(url, { method: 'POST', headers: { 'content-type': type }, body, ...{ duplex: 'half' } })
const json = (value: unknown) => ['application/json', JSON.stringify(value)] as const
const dataOf = async (topic: string) => {
  const data: (string | undefined)[] = []
  for await (const item of hub.entries(topic, { until: 'now' })) if (item.kind === 'entry') data.push(item.data)
  return data
}

/** Reads a stream until it has shown a text. */
async function until(response: Response, text: string): Promise<ReadableStreamDefaultReader<string>> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  for (let seen = ''; !seen.includes(text); ) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`The stream ended with ${seen}`)
    seen += value
  }
  return reader
}

/** Each framework, and the URL at which the hub is mounted. */
const hosts: Readonly<Record<string, () => Promise<string>>> = {
  'node:http': () => listen(handler(app)),
  'node:http, in an app of Hono': async () => `${await listen(handler(new Hono().route('/live', app)))}/live`,
  'Express 5': async () => `${await listen(mounted(express()))}/live`,
  'Express 5 behind body parsers': async () =>
    `${await listen(mounted(express().use(express.json({ type: ['json', '+json'] }), express.urlencoded(), express.text())))}/live`,
  'Express 5 behind a middleware that replaces `write`': async () => {
    const replacing = express().use((_request, response, next) => {
      const { write } = response
      response.write = ((...given: Parameters<typeof write>) => write.apply(response, given)) as typeof write
      next()
    })
    return `${await listen(mounted(replacing))}/live`
  },
  Fastify: async () => {
    const server = fastify()
    server.removeAllContentTypeParsers()
    server.addContentTypeParser('*', (_request, _body, done) => done(null))
    const live = handler(new Hono().route('/live', app))
    server.all('/live/*', (request, reply) => {
      reply.hijack()
      return live(request.raw, reply.raw)
    })
    onTestFinished(() => server.close())
    return `${await server.listen({ port: 0, host: '127.0.0.1' })}/live`
  },
}

const mounted = (host: Express): Express => host.use('/live', handler(app))

describe.each(Object.entries(hosts))('in %s', (name, start) => {
  test('a body of every type is read, whoever has read it before', async () => {
    const url = await start()
    const bodies: [string, BodyInit][] = [
      [...json({ data: { n: 1, s: 'ü' } })],
      [...json([{ data: 'one' }, { data: 'two' }])],
      ['application/x-www-form-urlencoded', 'data=a%26b&event=said'],
      ['text/plain', 'some text'],
      ['application/x-ndjson', '{"data":"line 1"}\n{"data":"line 2"}\n'],
      ['application/json', new Blob(['{"data":"chunked"}']).stream()],
    ]
    for (const [type, body] of bodies) {
      const answer = await post(`${url}/send?topic=a`, type, body)
      expect([type, answer.status, await answer.text()]).toEqual([
        type,
        200,
        expect.stringContaining('"durability":"memory"'),
      ])
    }
    expect(await dataOf('a')).toEqual([
      ...['{"n":1,"s":"ü"}', 'one', 'two', 'a&b', 'some text', 'line 1', 'line 2', 'chunked'],
    ])
    const long = await post(`${url}/send?topic=a`, 'text/plain', 'x'.repeat(70_000))
    expect(long.status).toBe(413)
  })

  test('a stream brings events at once, and ends for the hub when its client leaves', async () => {
    const url = await start()
    const leaving = new AbortController()
    const stream = await fetch(`${url}/event?topic=a/*`, { signal: leaving.signal })
    expect([stream.status, stream.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
    await hub.publish({ topic: 'a/1', data: 'hello' })
    await until(stream, 'data: hello\n')
    expect(hub.readers).toBe(1)
    leaving.abort()
    await expect.poll(() => hub.readers).toBe(0)
  })

  test('a stream ends whole when its topic closes', async () => {
    const url = await start()
    await hub.publish({ topic: 'a', data: 'last', close: true })
    const text = await (await fetch(`${url}/event?topic=a&from=earliest`)).text()
    expect(text).toMatch(/data: last\n.*event: hub.closed\n/s)
  })

  test('the page, its files and the description know where they are mounted', async () => {
    const url = await start()
    const { pathname } = new URL(url)
    const path = pathname === '/' ? '' : pathname
    const description = (await (await fetch(`${url}/openapi.json`)).json()) as { servers: { url: string }[] }
    expect(description.servers[0]!.url).toBe(path === '' ? '/' : path)
    expect((await fetch(`${url}/style.css`)).status).toBe(200)
    if (path === '' || name === 'Fastify') return // `/live/*` of Fastify is not `/live`
    const page = await fetch(url)
    expect([page.url, page.headers.get('content-type')]).toEqual([`${url}/`, 'text/html; charset=utf-8'])
  })
})

test('mounted under a parameter, the page of a name like a URL of another site is at the host itself', async () => {
  const url = `${await listen(express().use('/:tenant', handler(app)))}/https:evil.example`
  const answer = await fetch(url, { redirect: 'manual' })
  expect([answer.status, new URL(answer.headers.get('location')!, url).href]).toEqual([308, `${url}/`])
})

test('limits by address count the peers of the connections', async () => {
  app = createApp({ hub, settings: { publishRate: 1 } })
  const url = await listen(handler(app))
  const statuses = [
    await post(`${url}/send?topic=a`, 'text/plain', 'x'),
    await post(`${url}/send?topic=a`, 'text/plain', 'x'),
  ]
  expect(statuses.map(({ status }) => status)).toEqual([200, 429])
})

test('a body that was read and thrown away is an error that says so', async () => {
  const swallowing = express().use((request, _response, next) => void request.resume().on('end', () => next()))
  const url = await listen(mounted(swallowing))
  const answer = await post(`${url}/live/send?topic=a`, ...json({ data: 'x' }))
  expect([answer.status, await answer.json()]).toEqual([
    400,
    expect.objectContaining({ code: 'body_invalid', detail: expect.stringContaining('mount the hub before it') }),
  ])
})

test('a body parser that keeps the bytes keeps a value as it was written', async () => {
  const verify = (request: object, _response: unknown, bytes: Buffer) => Object.assign(request, { rawBody: bytes })
  const url = await listen(mounted(express().use(express.json({ verify }))))
  await post(`${url}/live/send?topic=a`, 'application/json', '{"data":{"n":1.0,"big":12345678901234567890}}')
  expect(await dataOf('a')).toEqual(['{"n":1.0,"big":12345678901234567890}'])
})

test('the globals of the host stay what they are', async () => {
  handler(app)
  expect(globalThis.Request === own[0] && globalThis.Response === own[1]).toBe(true)
})

test('grantOf finds what a middleware of Express has added to its request', async () => {
  app = createApp({ hub, grantOf: (c) => ((c.env as NodeEnv).incoming as { user?: SessionGrant }).user })
  const host = express().use((request, _response, next) => {
    const user: SessionGrant = { subscribe: [`users/${request.header('x-user')}`] }
    Object.assign(request, request.header('x-user') ? { user } : {})
    next()
  })
  const url = await listen(mounted(host))
  const status = async (user: string) =>
    (await fetch(`${url}/live/topics/users/ann`, { headers: { 'x-user': user } })).status
  expect([await status('ann'), await status('bob'), await status('')]).toEqual([200, 403, 401])
})

test('a middleware that replaces `write` sees every byte of a stream', async () => {
  let seen = ''
  const host = express().use((_request, response, next) => {
    const { write } = response
    response.write = ((...given: Parameters<typeof write>) => {
      seen += Buffer.from(given[0])
      return write.apply(response, given)
    }) as typeof write
    next()
  })
  await hub.publish({ topic: 'a', data: 'last', close: true })
  const url = await listen(mounted(host))
  expect(await (await fetch(`${url}/live/event?topic=a&from=earliest`)).text()).toBe(seen)
  expect(seen).toContain('data: last\n')
})
