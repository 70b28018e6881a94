import { readFileSync } from 'node:fs'
import { afterEach, expect, test, vi } from 'vitest'
import type * as Tidings from '../../src/index.ts'
import { VERSION } from '../../src/version.ts'

const SHARED = Symbol.for('tidings store')

afterEach(() => {
  Reflect.deleteProperty(globalThis, SHARED)
  vi.doUnmock('../../src/version.ts')
})

/** Loads another copy of the package, as a second bundle or a dev server does. */
async function copy(version?: string): Promise<typeof Tidings> {
  vi.resetModules()
  if (version !== undefined) vi.doMock('../../src/version.ts', () => ({ VERSION: version }))
  return import('../../src/index.ts')
}

const JSON_SENT = { 'content-type': 'application/json' }
const at = (path: string) => `http://localhost${path}`

test('two copies of the package in a process have one default hub', async () => {
  const [one, two] = [await copy(), await copy()]
  expect(one.Hub).not.toBe(two.Hub)
  expect(one.store).toBe(two.store)
  await one.default.request(at('/send?message=hi'))
  const stream = await two.default.request(at('/event'))
  const { value } = await stream.body!.getReader().read()
  expect(new TextDecoder().decode(value)).toContain('"message":"hi"')
  await one.store.close()
})

test('an app works with a hub of another copy, with its keys and its limits', async () => {
  const [one, two] = [await copy(), await copy()]
  const hub = new one.Hub(one.memoryLog, { maxTopicBytes: 3 })
  const app = two.createApp({ hub, grantOf: () => ({ subject: 'ann', subscribe: ['**'] }) })
  expect((await app.request(at('/topics/abc'))).status).toBe(200)
  expect((await app.request(at('/topics/abcd'))).status).toBe(413)
  const open = two.createApp({ hub })
  const send = () => open.request(at('/send?topic=a'), { method: 'POST', body: '{"close":true}', headers: JSON_SENT })
  expect([(await send()).status, (await send()).status]).toEqual([200, 409])
  expect(await Array.fromAsync(hub.entries(two.Filter.parse(['a']), { until: 'now' }))).toHaveLength(1)
  await hub.close()
})

test('copies of two versions do not silently make two default hubs: the second says so at its first use, and not before', async () => {
  const one = await copy()
  const two = await copy('9.9.9')
  expect(one.store).not.toBe(two.store)
  await one.store.publish({ topic: 'a', data: 'x' })
  await expect(two.store.publish({ topic: 'a', data: 'x' })).rejects.toThrow(
    `Cannot use the default hub of tidings 9.9.9: tidings ${VERSION} has one in this process already`,
  )
  await one.store.close()
})

test('the version is that of package.json', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(VERSION).toBe(version)
})
