import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { start } from '../server/server.ts'
import { chromium } from './chromium.ts'
import { publish, send } from './client.ts'
import { prepareBrowsers } from './hooks.ts'
import type { Visit } from './visit.ts'

/** Tests of one person's tabs: HTTP/1.1 gives a browser six connections to a hub. */

const { open, openBeside } = chromium
const DEFAULT = 'This is a server-sent event'

prepareBrowsers(chromium)

async function tabs(url: string, count: number): Promise<Visit<Page>[]> {
  const all = [await open(url)]
  while (all.length < count) all.push(await openBeside(all[0]!, url))
  return all
}

describe('eight tabs', () => {
  test('of the demo stream hold one connection, and another tab reads on when the reading tab is closed', async () => {
    const server = await start()
    const eight = await tabs(server.url, 8)
    for (const tab of eight) await tab.shows(DEFAULT)
    expect(await server.readers()).toBe(1)
    await eight[7]!.says('from the eighth')
    for (const tab of eight) await tab.shows(DEFAULT, 'from the eighth')
    await eight[0]!.page.close()
    await send(server, 'meanwhile')
    for (const tab of eight.slice(1)) await tab.shows(DEFAULT, 'from the eighth', 'meanwhile')
    await expect.poll(() => server.readers()).toBe(1)
  })

  test('of topics hold one connection, each with its history and its topics', async () => {
    const server = await start()
    for (const topic of ['a', 'b']) await publish(server, topic, `before on ${topic}`)
    const eight = await tabs(`${server.url}/?topic=a`, 8)
    for (const tab of eight) await tab.shows('before on a')
    await eight[0]!.watches('b')
    await eight[0]!.shows('before on b')
    await publish(server, 'a', 'on a')
    await publish(server, 'b', 'on b')
    await eight[0]!.shows('before on b', 'on b')
    for (const tab of eight.slice(1)) await tab.shows('before on a', 'on a')
    expect(await server.readers()).toBe(1)
    await eight[7]!.says('from the eighth')
    for (const tab of eight.slice(1)) await tab.shows('before on a', 'on a', 'from the eighth')
  })
})
