import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { remoteRuns } from '../../src/portable.ts'
import { post, publish } from '../browser/client.ts'
import { chromiumTabs } from '../browser/tabs.ts'
import { cleanUp, start } from '../server/server.ts'
import { bundle } from './bundle.ts'

/**
 * Tests the hooks of a library in a page of a hub.
 *
 * @param program a program that shows a view of `useTopic` in `#room` and of `useLatest` in `#latest`
 * @param runProgram one that shows a view of `useRun` in `#run`
 */
export function hookSuite(library: string, program: string, runProgram: string): void {
  describe(`the hooks of ${library} in a page`, { timeout: 180_000 }, () => {
    beforeEach((context) => context.skip(chromiumTabs.missing !== '', chromiumTabs.missing))
    afterEach(() => chromiumTabs.leave().finally(cleanUp))
    afterAll(() => chromiumTabs.quit())

    test('show the newest events, each once, of other topics after a change, and close their streams at the end', async () => {
      const hub = await start({ REQUEST_LOG: 'all' })
      await publish(hub, 'chat/a', 'one', 'two', 'three')
      const { page } = await chromiumTabs.open(hub.url)
      await page.evaluate(await bundle(program))
      const shown = async (id: string) =>
        JSON.parse(await page.evaluate((id) => document.getElementById(id)?.textContent ?? 'null', id))
      await expect
        .poll(() => shown('room'))
        .toEqual({ events: ['two', 'three'], latest: ['chat/a'], state: 'live', closed: [] })
      await expect.poll(() => shown('latest')).toEqual(['three', 'live'])
      expect(await hub.readers()).toBe(2)

      await publish(hub, 'also', 'four')
      await publish(hub, 'chat/a', 'five')
      await expect
        .poll(() => shown('room'))
        .toEqual({ events: ['three', 'four', 'five'], latest: ['also', 'chat/a'], state: 'live', closed: [] })
      await expect.poll(() => shown('latest')).toEqual(['five', 'live'])

      await page.evaluate(() => (window as unknown as { setRoom(room: string): void }).setRoom('b'))
      await publish(hub, 'chat/b', 'six')
      await expect
        .poll(() => shown('room'))
        .toEqual({ events: ['four', 'six'], latest: ['also', 'chat/b'], state: 'live', closed: [] })

      await post(`${hub.url}/send?topic=chat/a`, { data: 'end', close: true })
      await expect.poll(() => shown('latest')).toEqual(['end', 'closed'])
      await page.evaluate(() => (window as unknown as { unmount(): void }).unmount())
      await expect.poll(() => hub.readers()).toBe(0)
      // Of the room, of the other room, and of the newest event.
      expect(hub.output.match(/"path":"\/event"/g)).toHaveLength(3)
    })

    test('show a run from its first event to its end, and stop it', async () => {
      const hub = await start({ REQUEST_LOG: 'all' })
      const runs = remoteRuns(hub)
      const [first, second, third] = [await runs.claim('ai/1'), await runs.claim('ai/2'), await runs.claim('ai/3')]
      await first.publish([{ data: 'one' }, { data: 'two' }])
      await second.publish({ data: 'half' })
      await second.end({ outcome: 'failed', detail: 'no more' })
      await runs.stop('ai/3')
      const { page } = await chromiumTabs.open(hub.url)
      await page.evaluate(await bundle(runProgram))
      const shown = async () =>
        JSON.parse(await page.evaluate(() => document.getElementById('run')?.textContent ?? 'null'))
      const call = (name: 'stop' | 'setTopic' | 'unmount', given?: string) =>
        page.evaluate(
          ({ name, given }) => (window as unknown as Record<string, (given?: string) => unknown>)[name]!(given),
          { name, given },
        )
      await expect
        .poll(shown)
        .toEqual({ events: ['one', 'two'], state: 'live', outcome: null, detail: null, isStopAsked: false })

      await call('stop')
      await expect.poll(shown).toMatchObject({ state: 'live', outcome: null, isStopAsked: true })
      await first.publish({ data: 'three' })
      expect(first.signal.reason).toMatchObject({ code: 'run_stopped' })
      await first.end({ outcome: 'stopped' })
      const all = ['one', 'two', 'three']
      await expect
        .poll(shown)
        .toEqual({ events: all, state: 'closed', outcome: 'stopped', detail: null, isStopAsked: true })

      await call('setTopic', 'ai/2')
      await expect
        .poll(shown)
        .toEqual({ events: ['half'], state: 'closed', outcome: 'failed', detail: 'no more', isStopAsked: false })
      await call('setTopic', 'ai/3')
      await expect.poll(shown).toEqual({ events: [], state: 'live', outcome: null, detail: null, isStopAsked: true })

      await call('unmount')
      await expect.poll(() => hub.readers()).toBe(0)
      expect(hub.output.match(/"path":"\/event"/g)).toHaveLength(3)
      third.release()
    })
  })
}
