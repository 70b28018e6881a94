import { once } from 'node:events'
import { type ClientHttp2Session, connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { afterEach, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Reader } from '../reader.ts'

const hub = new Hub(memoryLog)
const open: { close(): void }[] = []

afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

async function session(): Promise<ClientHttp2Session> {
  const server = serve({ fetch: createApp({ hub }).fetch, createServer, hostname: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const client = connect(`http://localhost:${(server.address() as AddressInfo).port}`)
  open.push(client, server)
  return client
}

test.each(['/event', '/event?topic=a'])(
  'over HTTP/2 %s streams, ends when its reader cancels it, and leaves the connection usable',
  async (path) => {
    const client = await session()
    const request = client.request({ ':path': path })
    const [headers] = await once(request, 'response')
    expect(headers).toMatchObject({ ':status': 200, 'content-type': 'text/event-stream; charset=utf-8' })
    expect(headers).not.toHaveProperty('transfer-encoding')
    expect(headers).not.toHaveProperty('connection')
    const reader = new Reader().follow(request)
    await expect.poll(() => reader.events.length).toBeGreaterThan(0)
    await hub.publish([{ topic: 'a', data: 'over HTTP/2' }])
    if (path !== '/event') await expect.poll(() => reader.data).toEqual(['over HTTP/2'])
    expect(hub.readers).toBe(1)
    request.close()
    await expect.poll(() => hub.readers).toBe(0)
    const health = client.request({ ':path': '/health' })
    const [{ ':status': status }] = await once(health, 'response')
    expect(status).toBe(200)
  },
)

test('over HTTP/2 twenty streams share one connection', async () => {
  const client = await session()
  const readers = Array.from({ length: 20 }, (_, i) =>
    new Reader().follow(client.request({ ':path': `/event?topic=t/${i}` })),
  )
  await Promise.all(readers.map((reader) => expect.poll(() => reader.events.length).toBe(1)))
  await hub.publish(readers.map((_, i) => ({ topic: `t/${i}`, data: `${i}` })))
  await Promise.all(readers.map((reader, i) => reader.gets(`${i}`)))
  client.close()
})
