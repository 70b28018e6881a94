import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { defineHandler, H3 } from 'h3'
import { toNodeHandler } from 'h3/node'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createApp, Hub, memoryLog } from '../../src/index.ts'

let hub: Hub

beforeEach(() => {
  hub = new Hub(memoryLog)
})
afterEach(() => hub.close())

const mounted = () => new Hono().route('/live', createApp({ hub }))

/** Each host, and a function that sends it a request; the last two over real sockets. */
const hosts: Readonly<Record<string, () => Promise<(path: string, init?: RequestInit) => Promise<Response>>>> = {
  'a route handler of Next.js': async () => {
    const answer = (request: Request) => mounted().fetch(request)
    return async (path, init) => answer(new Request(`http://localhost${path}`, init))
  },
  h3: async () => {
    const app = new H3().all(
      '/live/**',
      defineHandler((event) => mounted().fetch(event.req)),
    )
    return async (path, init) => app.request(path, init)
  },
  'h3 on Node, as Nitro serves it': async () => {
    const app = new H3().all(
      '/live/**',
      defineHandler((event) => mounted().fetch(event.req)),
    )
    const server = createServer(toNodeHandler(app)).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close().closeAllConnections())
    await new Promise((listening) => server.once('listening', listening))
    return (path, init) => fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, init)
  },
  'an app of Hono on Node': async () => {
    const server = serve({ fetch: mounted().fetch, port: 0, hostname: '127.0.0.1' })
    onTestFinished(() => void server.close())
    await new Promise((listening) => server.once('listening', listening))
    return (path, init) => fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, init)
  },
}

describe.each(Object.entries(hosts))('in %s', (_, start) => {
  test('events arrive at once, and the stream ends for the hub when its client leaves', async () => {
    const send = await start()
    const leaving = new AbortController()
    const stream = await send('/live/event?topic=a', { signal: leaving.signal })
    expect(stream.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    await hub.publish({ topic: 'a', data: 'hello' })
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
    for (let seen = ''; !seen.includes('data: hello\n'); ) seen += (await reader.read()).value
    expect(hub.readers).toBe(1)
    leaving.abort()
    await reader.cancel().catch(() => {})
    await expect.poll(() => hub.readers).toBe(0)
  })

  test('bodies are published: JSON, and lines while they arrive', async () => {
    const send = await start()
    const post = (type: string, body: string) =>
      send('/live/send?topic=a', { method: 'POST', headers: { 'content-type': type }, body })
    expect((await post('application/json', '{"data":{"n":1.0}}')).status).toBe(200)
    expect(await (await post('application/x-ndjson', '{"data":"x"}\n{"data":"y"}\n')).json()).toMatchObject({
      taken: 2,
    })
    const items = await Array.fromAsync(hub.entries('a', { until: 'now' }))
    expect(items.map((item) => item.kind === 'entry' && item.data)).toEqual(['{"n":1.0}', 'x', 'y'])
  })
})
