import { afterEach, beforeEach, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Hub, memoryLog } from '../../src/index.ts'
import { runs } from '../../src/runs/near.ts'
import { point, pointed } from '../../src/runs/pointer.ts'
import { remoteRuns } from '../../src/runs/remote.ts'

let hub: Hub

beforeEach(() => {
  hub = new Hub(memoryLog)
})
afterEach(() => hub.close())

const to = (n: number) => `ai/chat/${n}`

test('a pointer that was never set names nothing, and is not claimed by looking at it', async () => {
  expect(await pointed(runs(hub), 'ai/chat')).toBeUndefined()
  expect(await runs(hub).state('ai/chat')).toBeUndefined()
})

test('a pointer names what it was last set to, and keeps one entry', async () => {
  for (const n of [1, 2, 3]) {
    const id = await point(runs(hub), 'ai/chat', to(n))
    expect(await pointed(runs(hub), 'ai/chat')).toEqual({ run: to(n), id })
  }
  expect((await hub.directory.get('ai/chat')).kept).toBe(1)
})

test('of programs that set a pointer at the same time, one wins and none fails', async () => {
  const all = [1, 2, 3, 4, 5].map(to)
  await Promise.all(all.map((each) => point(runs(hub), 'ai/chat', each)))
  expect(all).toContain((await pointed(runs(hub), 'ai/chat'))?.run)
})

test('a pointer that is being set is waited for', async () => {
  const run = await runs(hub).claim('ai/chat', { key: 'pointer', leaseMs: 1000, graceMs: 0 })
  const found = pointed(runs(hub), 'ai/chat')
  await run.end({ data: JSON.stringify({ run: to(1) }) })
  expect(await found).toMatchObject({ run: to(1) })
})

test('a program that dies while it sets a pointer leaves one that names nothing, and that others can set', async () => {
  const run = await runs(hub).claim('ai/chat', { key: 'pointer', leaseMs: 100, graceMs: 0 })
  run.release()
  expect(await pointed(runs(hub), 'ai/chat')).toBeUndefined()
  await point(runs(hub), 'ai/chat', to(2))
  expect(await pointed(runs(hub), 'ai/chat')).toMatchObject({ run: to(2) })
})

test('a program that cannot set a pointer holds it no longer, so that others can set it', async () => {
  const app = createApp({ hub })
  const fetch = async (url: string, init: RequestInit) =>
    url.includes('/send') ? new Response('not here', { status: 404 }) : app.request(url, init)
  const program = remoteRuns({ url: 'http://localhost', fetch })
  await expect(point(program, 'ai/chat', to(1))).rejects.toMatchObject({ code: 'internal' })
  await expect.poll(async () => (await runs(hub).state('ai/chat'))?.outcome, { timeout: 4000 }).toBe('abandoned')
})

test('a pointer does not take over a topic that is a run of its own', async () => {
  const setsNothing = { ...runs(hub), claim: runs(hub).claim.bind(runs(hub)), delete: async () => {} }
  await runs(hub).claim('ai/chat', { leaseMs: 60_000 })
  await expect(point(setsNothing as never, 'ai/chat', to(1))).rejects.toMatchObject({ code: 'run_taken' })
})
