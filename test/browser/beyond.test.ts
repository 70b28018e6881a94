import { describe, expect, test } from 'vitest'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { lasting, publish, repeats, send } from './client.ts'
import { prepareBrowsers } from './hooks.ts'
import { proxyUnder } from './proxy.ts'

/** Tests of the page with more than a hub: page.test.ts, suite.ts and prefix.test.ts have shorter forms of them. */

const { open, openBeside } = chromium
const DEFAULT = 'This is a server-sent event'

prepareBrowsers(chromium)

describe('the page', () => {
  test('works behind a proxy that strips a path: its files, streams, sends and /docs', async () => {
    const server = await start()
    const url = `${await proxyUnder('/hub', server.url)}/`
    const visit = await open(url)
    await visit.shows(DEFAULT)
    await visit.says('from below')
    await visit.shows(DEFAULT, 'from below')
    const topic = await open(`${url}?topic=a`)
    await topic.is('Live')
    await publish(server, 'a', 'to a topic')
    await topic.shows('to a topic')
    const docs = await open(`${url}docs`)
    await docs.page.getByText('A Server-Sent Events hub').first().waitFor()
  })

  test('reconnects by itself after SIGTERM, and shows everything published meanwhile, once and in order', async () => {
    const settings = await lasting()
    const server = await start(settings)
    const visit = await open(server.url)
    await visit.shows(DEFAULT)
    await send(server, 'before')
    await visit.shows(DEFAULT, 'before')
    await server.kill('SIGTERM')
    await visit.is('Reconnecting')
    const back = await visit.offline(async () => {
      const back = await start(settings)
      for (const message of ['1', '2', '3']) await send(back, message)
      expect(await back.readers()).toBe(0)
      return back
    })
    await visit.is('Live')
    await visit.shows(DEFAULT, 'before', '1', '2', '3')
    await repeats(back, 2)
    await send(back, 'after')
    await visit.shows(DEFAULT, 'before', '1', '2', '3', 'after')
  })

  test('of the demo stream reads on in another tab when the process of the reading tab hangs', async () => {
    const server = await start()
    const hung = await open(server.url)
    await hung.shows(DEFAULT)
    const other = await openBeside(hung, server.url)
    await other.shows(DEFAULT)
    const hanging = hung.page.evaluate(() => {
      for (const end = Date.now() + 25_000; Date.now() < end; );
    })
    hanging.catch(() => {}) // the tab is closed meanwhile
    await expect.poll(() => server.readers(), { timeout: 20_000 }).toBe(2)
    await send(server, 'meanwhile')
    await other.shows(DEFAULT, 'meanwhile')
    await hanging
    await hung.shows(DEFAULT, 'meanwhile')
    await expect.poll(() => server.readers()).toBe(1)
  })
})
