import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { connect } from '../../public/client.js'
import { runState, stopRun } from '../../public/client-runs.js'
import { createApp, Hub, memoryLog, runs } from '../../src/portable.ts'

/** A hub, and a client of it whose requests are noted. */
function open(token?: string) {
  const hub = new Hub(memoryLog)
  onTestFinished(() => hub.close())
  const settings = { publishRate: 'none', maxReadersPerAddress: 'none' } as const // requests without a socket have no address
  const app = new Hono().route('/live', createApp({ hub, open: true, settings }))
  const sent: unknown[] = []
  const client = connect({
    url: 'http://localhost/live',
    ...(token !== undefined && { token }),
    async fetch(url, init) {
      sent.push([init.method ?? 'GET', url, (init.headers as Record<string, string>).authorization])
      return app.request(url, init)
    },
  })
  return { hub, client, sent }
}

test('a run is unknown, active with its lease, and then ended as its producer says', async () => {
  const { hub, client } = open()
  expect(await runState(client, 'ai/answer-1')).toBeUndefined()
  const run = await runs(hub).claim('ai/answer-1', { leaseMs: 20_000 })
  expect(await runState(client, 'ai/answer-1')).toEqual({
    ...{ topic: 'ai/answer-1', fence: 1, leaseMs: 20_000, graceMs: 20_000, isStopAsked: false, lastId: null },
    leaseEnd: expect.stringMatching(/^20.*Z$/),
  })
  const { id } = await run.end({ outcome: 'failed', detail: 'no more' })
  expect(await runState(client, 'ai/answer-1')).toEqual({
    ...{ topic: 'ai/answer-1', fence: 1, leaseMs: 20_000, graceMs: 20_000, isStopAsked: false, lastId: id },
    ...{ outcome: 'failed', detail: 'no more' },
  })
})

test('a stop reaches the producer, or the claim that comes later, and with a fence that claim alone', async () => {
  const { hub, client } = open()
  expect(await stopRun(client, 'early')).toBeUndefined()
  expect((await runs(hub).claim('early')).signal.reason).toMatchObject({ code: 'run_stopped' })

  const run = await runs(hub).claim('jobs/7')
  expect(await stopRun(client, 'jobs/7', 2)).toMatchObject({ fence: 1, isStopAsked: false })
  expect(await stopRun(client, 'jobs/7', 1)).toMatchObject({ topic: 'jobs/7', isStopAsked: true })
  expect(await stopRun(client, 'jobs/7')).toMatchObject({ isStopAsked: true })
  await run.publish({ data: '1' })
  expect(run.signal.reason).toMatchObject({ code: 'run_stopped' })
})

test('requests are below the base of the hub, with the token of the client', async () => {
  const { client, sent } = open('a token')
  await runState(client, 'a/b?c').catch(() => {})
  await stopRun(client, 'a/b').catch(() => {})
  expect(sent).toEqual([
    ['GET', 'http://localhost/live/runs/a%2Fb%3Fc', 'Bearer a token'],
    ['POST', 'http://localhost/live/stop?topic=a%2Fb', 'Bearer a token'],
  ])
})

test('a refusal is an error with the code of the hub, and so is a hub that cannot be reached', async () => {
  const { hub, client } = open()
  await hub.publish({ topic: 'plain', data: 'all', close: true })
  await expect(stopRun(client, 'plain')).rejects.toMatchObject({ name: 'TidingsError', code: 'topic_closed' })
  await expect(runState(client, 'a b')).rejects.toMatchObject({ name: 'TidingsError', status: 400 })
  const nowhere = connect({ url: 'http://localhost', fetch: () => Promise.reject(new TypeError('fetch failed')) })
  await expect(runState(nowhere, 'a')).rejects.toMatchObject({ code: 'unreachable', isTemporary: true })
})
