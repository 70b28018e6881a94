import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { runs } from '../seed.ts'
import { start } from '../server/server.ts'
import { publish } from './client.ts'
import { lossSuite, publishing, sharingSuite } from './client-suite.ts'
import { prepareBrowsers } from './hooks.ts'
import { chromiumTabs, firefoxTabs } from './tabs.ts'

lossSuite(firefoxTabs)
sharingSuite(firefoxTabs)

describe.each([chromiumTabs, firefoxTabs])('the client in $name, for long,', { timeout: 180_000 }, (tabs) => {
  prepareBrowsers(tabs)

  test('misses nothing of 10,000 events at 200 a second, in the tab that reads and in another', async () => {
    const hub = await start()
    const two = [await tabs.open(hub.url), await tabs.open(hub.url)]
    for (const tab of two) {
      await tab.subscribe(['a'], { shared: true })
      await expect.poll(() => tab.state).toBe('live')
    }
    const numbers = Array.from({ length: 10_000 }, (_, i) => `${i}`)
    const began = performance.now()
    for (let i = 0; i < numbers.length; i += 10) {
      const body = JSON.stringify(numbers.slice(i, i + 10).map((data) => ({ topic: 'a', data })))
      await fetch(`${hub.url}/send`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
      await pause(Math.max(0, began + (i + 10) * 5 - performance.now()))
    }
    for (const tab of two) {
      await expect.poll(async () => (await tab.data).length).toBe(numbers.length)
      expect(await tab.data).toEqual(numbers)
    }
  })

  test('reads on after the browser was stopped, and misses nothing', async () => {
    const hub = await start({ HEARTBEAT: '500ms', STALL: '1s', RETRY: '500ms' })
    const two = [await tabs.open(hub.url), await tabs.open(hub.url)]
    const [alone, sharing] = two
    await alone!.subscribe(['a'], { heartbeatMs: 500 })
    await sharing!.subscribe(['a'], { heartbeatMs: 500, shared: true })
    for (const tab of two) await expect.poll(() => tab.state).toBe('live')
    const numbers = publishing(hub, 'a')
    await pause(500)
    await tabs.signal('SIGSTOP')
    await pause(runs(5000, 60_000))
    await tabs.signal('SIGCONT')
    await pause(1000)
    const sent = await numbers.stop()
    for (const tab of two) {
      await expect.poll(async () => (await tab.data).length).toBe(sent.length)
      expect([await tab.data, (await tab.heard).gaps]).toEqual([sent, []])
    }
  })
})

describe('the client in Chromium', { timeout: 180_000 }, () => {
  prepareBrowsers(chromiumTabs)

  test('another tab reads on when the reading tab is frozen, and both have everything once it thaws', async () => {
    const hub = await start()
    const frozen = await chromiumTabs.open(hub.url)
    await frozen.subscribe(['a'], { shared: true })
    await expect.poll(() => frozen.state).toBe('live')
    const other = await chromiumTabs.open(hub.url)
    await other.subscribe(['a'], { shared: true })
    await expect.poll(() => other.state).toBe('live')
    await publish(hub, 'a', '1')
    const session = await frozen.page.createCDPSession()
    await session.send('Page.setWebLifecycleState', { state: 'frozen' })
    await expect.poll(() => other.isReading).toBe(true)
    await publish(hub, 'a', '2', '3')
    await expect.poll(() => other.data).toEqual(['1', '2', '3'])
    await session.send('Page.setWebLifecycleState', { state: 'active' })
    await expect.poll(() => frozen.data).toEqual(['1', '2', '3'])
    await publish(hub, 'a', '4')
    for (const tab of [frozen, other]) await expect.poll(() => tab.data).toEqual(['1', '2', '3', '4'])
    await expect.poll(() => hub.readers()).toBe(1)
  })

  test('another tab reads on when the process of the reading tab hangs', async () => {
    const hub = await start()
    const hung = await chromiumTabs.open(hub.url)
    await hung.subscribe(['a'], { shared: true })
    await expect.poll(() => hung.state).toBe('live')
    const other = await chromiumTabs.open(hub.url)
    await other.subscribe(['a'], { shared: true })
    await expect.poll(() => other.state).toBe('live')
    const hanging = hung.page.evaluate(() => {
      for (const end = Date.now() + 30_000; Date.now() < end; );
    })
    hanging.catch(() => {}) // the tab is closed meanwhile
    await expect.poll(() => other.isReading, { timeout: 30_000 }).toBe(true)
    await publish(hub, 'a', '1')
    await expect.poll(() => other.data).toEqual(['1'])
  })
})
