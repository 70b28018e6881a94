import { expect, test } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { lasting } from './client.ts'
import { prepareBrowsers } from './hooks.ts'
import { proxyUnder } from './proxy.ts'

prepareBrowsers(chromium)

test.for(part([node], [bun, deno, worker]))(
  'the page on $name works behind a proxy that strips a path',
  async (runtime) => {
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
