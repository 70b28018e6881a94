import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SECRET, token } from '../auth/suite.ts'
import { freePort, type Server, start } from '../server/server.ts'
import { lasting, publish } from './client.ts'
import { prepareBrowsers } from './hooks.ts'
import { sandbox } from './sandbox.ts'
import type { Tab, Tabs } from './tabs.ts'

/** Waits until a hub has this many streams: a hidden tab hands its stream over, and then there is none for a moment, or one too many. */
async function hasStreams(hub: Server, count: number): Promise<void> {
  await expect.poll(() => hub.readers()).toBe(count)
}

/** Publishes numbers until it is stopped. */
export function publishing(hub: Server, topic: string) {
  let isEnough = false
  const sent: string[] = []
  const done = (async () => {
    for (; !isEnough; await pause(5)) {
      await publish(hub, topic, `${sent.length}`)
      sent.push(`${sent.length}`)
    }
  })()
  const stop = async () => {
    isEnough = true
    await done
    return sent
  }
  onTestFinished(() => stop().then(() => {}))
  return { sent, stop }
}

/** Tests that the client loses and doubles nothing in a browser, and that its tabs hold one connection. */
export function lossSuite(tabs: Tabs): void {
  describe(`the client in ${tabs.name}`, { timeout: 270_000 }, () => {
    prepareBrowsers(tabs)

    test('loses and doubles nothing when the hub is killed and started again, and when the network is away', async () => {
      const settings = await lasting()
      let hub = await start(settings)
      const tab = await tabs.open(hub.url)
      await tab.subscribe(['a'])
      await expect.poll(() => tab.state).toBe('live')
      await publish(hub, 'a', '1')
      await expect.poll(() => tab.data).toEqual(['1'])
      await hub.kill('SIGKILL')
      await expect.poll(() => tab.state).toBe('reconnecting')
      hub = await start(settings)
      await publish(hub, 'a', '2', '3')
      await expect.poll(() => tab.data).toEqual(['1', '2', '3'])

      await tab.page.setOfflineMode(true)
      await hub.kill('SIGKILL') // a browser that is offline keeps the connections that it has
      hub = await start(settings)
      await publish(hub, 'a', '4')
      await pause(500)
      expect(await hub.readers()).toBe(0)
      await tab.page.setOfflineMode(false)
      await publish(hub, 'a', '5')
      await expect.poll(() => tab.data).toEqual(['1', '2', '3', '4', '5'])
      expect((await tab.heard).gaps).toEqual([])
    })

    test('eight tabs hold one connection, and each gets its topics and its history', async () => {
      const hub = await start()
      for (const topic of ['own/0', 'own/5', 'all']) await publish(hub, topic, `before ${topic}`)
      const eight: Tab[] = []
      for (let i = 0; i < 8; i++) {
        const tab = await tabs.open(hub.url)
        await tab.subscribe([`own/${i}`, 'all'], { last: 2, shared: true })
        eight.push(tab)
      }
      for (const tab of eight) await expect.poll(() => tab.state).toBe('live')
      await hasStreams(hub, 1)
      for (let i = 0; i < 8; i++) await publish(hub, `own/${i}`, `to ${i}`)
      await publish(hub, 'all', 'to all')
      for (const [i, tab] of eight.entries()) {
        const before = [0, 5].includes(i) ? [`before own/${i}`, 'before all'] : ['before all']
        await expect.poll(() => tab.data).toEqual([...before, `to ${i}`, 'to all'])
      }
      await hasStreams(hub, 1)
    })

    test('another tab reads on when the reading tab is closed, and nothing is lost or doubled', async () => {
      const hub = await start()
      const three: Tab[] = []
      for (let i = 0; i < 3; i++) {
        const tab = await tabs.open(hub.url)
        await tab.subscribe(['a'], { shared: true })
        await expect.poll(() => tab.state).toBe('live')
        three.push(tab)
      }
      const numbers = publishing(hub, 'a')
      await expect.poll(async () => (await three[1]!.data).length).toBeGreaterThan(10)
      const isReading = await Promise.all(three.map((tab) => tab.isReading))
      expect(isReading.filter(Boolean)).toHaveLength(1)
      await three[isReading.indexOf(true)]!.page.close()
      const others = three.filter((_, i) => !isReading[i])
      const before = numbers.sent.length
      await expect.poll(async () => (await others[0]!.data).length).toBeGreaterThan(before + 20)
      const sent = await numbers.stop()
      for (const tab of others) await expect.poll(() => tab.data).toEqual(sent)
      await hasStreams(hub, 1)
    })

    test('tabs that share a stream lose and double nothing when the hub is killed and started again', async () => {
      const settings = await lasting()
      let hub = await start(settings)
      const two = [await tabs.open(hub.url), await tabs.open(hub.url)]
      for (const tab of two) {
        await tab.subscribe(['a'], { shared: true })
        await expect.poll(() => tab.state).toBe('live')
      }
      await publish(hub, 'a', '1')
      for (const tab of two) await expect.poll(() => tab.data).toEqual(['1'])
      await hub.kill('SIGKILL')
      for (const tab of two) await expect.poll(() => tab.state).toBe('reconnecting')
      hub = await start(settings)
      await publish(hub, 'a', '2', '3')
      for (const tab of two) {
        await expect.poll(() => tab.data).toEqual(['1', '2', '3'])
        expect([await tab.state, (await tab.heard).gaps]).toEqual(['live', []])
      }
      await hasStreams(hub, 1)
    })
  })
}

/** Tests what else the client promises in a browser, most of it about tabs that share a stream. */
export function sharingSuite(tabs: Tabs): void {
  describe(`the client in ${tabs.name}`, { timeout: 270_000 }, () => {
    prepareBrowsers(tabs)

    test('two tabs that share nothing read the same topics', async () => {
      const hub = await start()
      const two = [await tabs.open(hub.url), await tabs.open(hub.url)]
      for (const tab of two) {
        await tab.subscribe(['a'])
        await expect.poll(() => tab.state).toBe('live')
      }
      await publish(hub, 'a', '1')
      for (const tab of two) await expect.poll(() => tab.data).toEqual(['1'])
      expect(await hub.readers()).toBe(2)
    })

    test('a sandboxed frame, in which there are no locks, reads a stream of its own', async () => {
      const hub = await start()
      const { url, close } = await sandbox(hub.url)
      onTestFinished(close)
      const { page } = await tabs.open(hub.url)
      await page.goto(`${url}/page`)
      const heard = () => page.evaluate(() => (window as unknown as { heard: string[] }).heard)
      await expect.poll(heard).toEqual(['live'])
      await publish(hub, 'a', '1')
      await expect.poll(heard).toEqual(['live', '1'])
      expect(await hub.readers()).toBe(1)
    })

    test('of tabs that share a stream, each hears of the gaps of its own topics', async () => {
      const settings = await lasting()
      let hub = await start(settings)
      const two = [await tabs.open(hub.url), await tabs.open(hub.url)]
      for (const [i, tab] of two.entries()) {
        await tab.subscribe([['a', 'b'][i]!], { shared: true })
        await expect.poll(() => tab.state).toBe('live')
        await publish(hub, ['a', 'b'][i]!, '1')
        await expect.poll(() => tab.data).toEqual(['1'])
      }
      await hub.kill('SIGKILL')
      // While nobody reads, retention removes an event of one topic, which only its reader has not had.
      const other = await start({ ...settings, PORT: `${await freePort()}`, TOPIC_RETENTION_COUNT: '1' })
      await publish(other, 'a', '2', '3', '4')
      await publish(other, 'b', '2')
      await other.kill('SIGTERM')
      hub = await start({ ...settings, TOPIC_RETENTION_COUNT: '1' })
      await expect.poll(() => two[0]!.heard).toMatchObject({ data: ['1', '4'], gaps: ['trimmed'] })
      await expect.poll(() => two[1]!.heard).toMatchObject({ data: ['1', '2'], gaps: [] })
    })

    test('a topic that is refused to one tab disturbs no other tab', async () => {
      const hub = await start()
      const [good, bad] = [await tabs.open(hub.url), await tabs.open(hub.url)]
      await good.subscribe(['a'], { shared: true })
      await expect.poll(() => good.state).toBe('live')
      await bad.subscribe(['a', 'not a topic'], { shared: true })
      await expect.poll(() => bad.state).toBe('failed')
      await publish(hub, 'a', '1')
      await expect.poll(() => good.data).toEqual(['1'])
      expect((await good.heard).states).toEqual(['live'])
    })

    test('a tab reads a stream of its own if the shared one has no room for its topics', async () => {
      const hub = await start()
      const [full, more] = [await tabs.open(hub.url), await tabs.open(hub.url)]
      await full.subscribe(
        Array.from({ length: 60 }, (_, i) => `full/${i}`),
        { shared: true },
      )
      await more.subscribe(
        Array.from({ length: 60 }, (_, i) => `more/${i}`),
        { shared: true },
      )
      for (const tab of [full, more]) await expect.poll(() => tab.state).toBe('live')
      await publish(hub, 'full/59', '1')
      await publish(hub, 'more/59', '2')
      await expect.poll(() => full.data).toEqual(['1'])
      await expect.poll(() => more.data).toEqual(['2'])
      await hasStreams(hub, 2)
    })

    test('a tab that is shown reads on in place of a hidden one, and nothing is lost or doubled', async () => {
      const hub = await start()
      const hidden = await tabs.open(hub.url)
      await hidden.subscribe(['a'], { shared: true })
      await expect.poll(() => hidden.state).toBe('live')
      const shown = await tabs.open(hub.url)
      await shown.subscribe(['a'], { shared: true })
      await expect.poll(() => shown.state).toBe('live')
      expect([await hidden.isHidden, await shown.isHidden]).toEqual([true, false])
      const numbers = publishing(hub, 'a')
      await expect.poll(() => shown.isReading).toBe(true)
      const count = numbers.sent.length
      await expect.poll(async () => (await hidden.data).length).toBeGreaterThan(count + 20)
      const sent = await numbers.stop()
      for (const tab of [hidden, shown]) await expect.poll(() => tab.data).toEqual(sent)
      await hasStreams(hub, 1)
    })

    test('tabs share a stream if their tokens allow the same to the same person', async () => {
      const hub = await start({ AUTH_SECRET: SECRET })
      const now = Math.floor(Date.now() / 1000)
      const tokens = await Promise.all(
        [
          ['ann', 600],
          ['ann', 900],
          ['bob', 900],
        ].map(([sub, seconds]) => token({ subscribe: ['a'] }, { sub, exp: now + Number(seconds), jti: `${seconds}` })),
      )
      for (const token of tokens) {
        const tab = await tabs.open(hub.url)
        await tab.subscribe(['a'], { shared: true, token })
        await expect.poll(() => tab.state).toBe('live')
      }
      const headers = { authorization: `Bearer ${tokens[0]}` }
      const { readers } = (await (await fetch(`${hub.url}/topics/a`, { headers })).json()) as { readers: number }
      expect(readers).toBe(2)
    })

    test('a slow program in a tab gets every event, although a tab keeps 1,000 of them at most', async () => {
      const hub = await start({ REQUEST_LOG: 'all' })
      const tab = await tabs.open(hub.url)
      await tab.page.evaluate(() => {
        const { client } = window as unknown as { client: typeof import('../../public/client.js') }
        const heard = { data: [] as string[], states: [] as string[] }
        client.connect({ url: '/', shared: true }).subscribe('a', {
          async onEvent({ data }) {
            heard.data.push(data)
            if (data === '0')
              await new Promise((resolve) => {
                Object.assign(window, { goOn: resolve })
              })
          },
          onState: ({ state }) => heard.states.push(state),
        })
        Object.assign(window, { heard })
      })
      await expect.poll(() => tab.state).toBe('live')
      const numbers = Array.from({ length: 6000 }, (_, i) => `${i}`)
      for (let i = 0; i < numbers.length; i += 500) {
        const body = JSON.stringify(numbers.slice(i, i + 500).map((data) => ({ topic: 'a', data })))
        await fetch(`${hub.url}/send`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
      }
      expect(await tab.data).toEqual(['0'])
      await tab.page.evaluate(() => (window as unknown as { goOn(): void }).goOn())
      await expect.poll(async () => (await tab.data).length).toBe(numbers.length)
      expect(await tab.data).toEqual(numbers)
      // What the tab did not keep, it has polled.
      expect(hub.output.match(/"path":"\/event"/g)!.length).toBeGreaterThan(5)
    })

    test('two subscriptions of a tab share the stream, and end with it', async () => {
      const hub = await start()
      const tab = await tabs.open(hub.url)
      await tab.subscribe(['a'], { shared: true })
      await expect.poll(() => tab.state).toBe('live')
      const heard = await tab.page.evaluate(async () => {
        const { hub, subscription } = window as unknown as Window & {
          hub: import('../../public/client.js').Client
          subscription: import('../../public/client.js').Subscription
        }
        await hub.publish([
          { topic: 'b/1', data: 'first' },
          { topic: 'b/2', data: { n: 2 } },
        ])
        const heard: string[] = []
        for await (const { data } of hub.subscribe('b/*', { from: 'earliest' })) {
          if (heard.push(data) === 2) await hub.publish({ topic: 'b/1', data: 'third', close: true })
          if (heard.length === 3) break
        }
        const closed: unknown[] = []
        for await (const { data } of hub.subscribe('b/1', {
          from: 'earliest',
          onClosed: (one) => closed.push(one.topic),
        }))
          heard.push(data)
        await subscription.change(['c'])
        await hub.publish({ topic: 'c', data: 'to another topic' })
        return [heard, closed]
      })
      expect(heard).toEqual([['first', '{"n":2}', 'third', 'first', 'third'], ['b/1']])
      await expect.poll(() => tab.data).toEqual(['to another topic'])
      expect(await hub.readers()).toBe(1)
      await tab.page.evaluate(() => (window as unknown as { subscription: { close(): void } }).subscription.close())
      await expect.poll(() => hub.readers()).toBe(0)
    })
  })
}
