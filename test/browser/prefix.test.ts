import { once } from 'node:events'
import { createServer, type Server as HttpServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, expect, test } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { lasting } from './client.ts'

const proxies: HttpServer[] = []

/** A proxy that serves a hub under a path, which it strips, as `location /live/ { proxy_pass http://hub/; }` of nginx does. */
async function proxyUnder(prefix: string, hub: string): Promise<string> {
  const proxy = createServer((incoming, outgoing) => {
    const { method, headers, url = '' } = incoming
    if (!url.startsWith(`${prefix}/`)) {
      outgoing.writeHead(404).end('nothing of the hub is here')
      return
    }
    const forwarded = request(hub + url.slice(prefix.length), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(outgoing)
    })
    forwarded.on('error', () => outgoing.destroy())
    outgoing.on('close', () => forwarded.destroy())
    incoming.pipe(forwarded)
  })
  proxies.push(proxy)
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return `http://localhost:${(proxy.address() as AddressInfo).port}${prefix}`
}

afterEach(() => chromium.leave())
afterAll(async () => {
  for (const proxy of proxies) {
    proxy.closeAllConnections()
    proxy.close()
  }
  await chromium.quit()
  await cleanUp()
})

test.for(part([node], [bun, deno, worker]))(
  'the page on $name works behind a proxy that strips a path',
  async (runtime, { skip }) => {
    skip(chromium.missing !== '', chromium.missing)
    const server = await start({ ...(await lasting()), BASE_PATH: '/live' }, runtime)
    const base = await proxyUnder('/live', server.url)
    const visit = await chromium.open(`${base}/`)
    await visit.is('Live')
    await visit.shows('This is a server-sent event')
    await visit.says('typed')
    await visit.shows('This is a server-sent event', 'typed')
    await visit.watches('chat/a')
    await visit.says('to a topic')
    await visit.shows('to a topic')
    expect(visit.page.url()).toContain('/live/')
    const requests = await visit.page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name))
    expect(requests.length).toBeGreaterThan(1)
    for (const url of requests) expect(url).toContain(base)
  },
)
