import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import type { Delivered } from '../../src/hub/delivered.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { nearRuns, runs } from '../../src/runs/near.ts'
import { remoteRuns } from '../../src/runs/remote.ts'
import type { Runs } from '../../src/runs/run.ts'
import { ChunkWriter } from '../../src/runs/writer.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const code = (name: string) => expect.objectContaining({ code: name })

interface Place {
  readonly hub: Hub
  readonly all: Runs
  /** From now on every sign of life of a producer gets this answer. */
  answerRenewals(answer: () => Promise<never>): void
}

/** Both ways to a hub's runs: the same tests hold for each. */
const ways: readonly [string, () => Place][] = [
  [
    'in this process',
    () => {
      const log = memoryLog()
      const hub = new Hub(() => log)
      const answerRenewals = (answer: () => Promise<never>) =>
        void vi.spyOn(log.runs, 'renew').mockImplementation(answer)
      return { hub, all: runs(hub), answerRenewals }
    },
  ],
  [
    'over HTTP',
    () => {
      const hub = new Hub(memoryLog)
      const app = createApp({ hub })
      let answerRenewal: (() => Promise<never>) | undefined
      const fetch = async (url: string, init: RequestInit) =>
        init.method === 'PATCH' && answerRenewal ? answerRenewal() : app.request(url, init)
      const answerRenewals = (answer: () => Promise<never>) => {
        answerRenewal = answer
      }
      return { hub, all: remoteRuns({ url: 'http://localhost/', fetch }), answerRenewals }
    },
  ],
]

afterEach(() => {
  vi.useRealTimers()
})

describe.each(ways)('runs %s', (_, make) => {
  const open = () => {
    const place = make()
    onTestFinished(() => place.hub.close())
    return place
  }
  const itemsOf = async (all: Runs, topic: string) => {
    const items: Delivered[] = []
    for await (const item of all.entries(topic, { signal: AbortSignal.timeout(30_000) })) items.push(item)
    return items
  }
  const textOf = (items: readonly Delivered[]) =>
    items.flatMap((item) => (item.kind === 'entry' && item.data !== undefined ? [item.data] : []))

  test('a producer publishes and ends its run; its entries end with the outcome', async () => {
    const { all } = open()
    const run = await all.claim('a')
    expect(run).toMatchObject({ topic: 'a', fence: 1, lastId: null })
    const { id, duplicate } = await run.publish({ data: '1', event: 'token' })
    expect([id, duplicate]).toEqual([expect.stringMatching(/-1$/), false])
    expect(await run.publish([{ data: '2' }, { data: '3' }])).toHaveLength(2)
    const reading = itemsOf(all, 'a')
    await run.end({ outcome: 'failed', detail: 'no model', data: 'last' })
    const items = await reading
    expect(textOf(items)).toEqual(['1', '2', '3', 'last'])
    expect(items[0]).toMatchObject({ kind: 'entry', id, topic: 'a', event: 'token', time: expect.any(Number) })
    expect(items.at(-1)).toMatchObject({ close: true, outcome: 'failed', detail: 'no model' })
    expect(await all.state('a')).toMatchObject({ outcome: 'failed', detail: 'no model' })
    expect(await all.state('b')).toBeUndefined()
    expect(run.signal.aborted).toBe(false)
  })

  test('of messages that are published together, each is told whether its key was known', async () => {
    const { all } = open()
    const run = await all.claim('a')
    const { id } = await run.publish({ data: '1', key: 'k1' })
    expect(await run.publish({ data: '1', key: 'k1' })).toEqual({ id, duplicate: true })
    const published = await run.publish([
      { data: '2', key: 'k2' },
      { data: '1', key: 'k1' },
      { data: '2', key: 'k2' },
      { data: '3' },
    ])
    expect(published.map(({ duplicate }) => duplicate)).toEqual([false, true, true, false])
    expect(published[1]!.id).toBe(id)
  })

  test('renews its lease by itself while it lives, and not once it is released', async () => {
    const { all } = open()
    const run = await all.claim('a', { leaseMs: 1500, graceMs: 0 })
    await pause(2500)
    await run.publish({ data: 'alive' })
    run.release()
    await expect.poll(async () => (await all.state('a'))?.outcome).toBe('abandoned')
    await expect(run.publish({ data: 'late' })).rejects.toEqual(code('topic_closed'))
    expect(textOf(await itemsOf(all, 'a'))).toEqual(['alive'])
  })

  test('the signal of a claim releases it', async () => {
    const { all } = open()
    const control = new AbortController()
    await all.claim('a', { leaseMs: 1500, graceMs: 0, signal: control.signal })
    await pause(2500)
    expect((await all.state('a'))?.outcome).toBeUndefined()
    control.abort()
    await expect.poll(async () => (await all.state('a'))?.outcome).toBe('abandoned')
  })

  test('a stop fires the signal of the producer, which ends the run as stopped', async () => {
    const { all } = open()
    const run = await all.claim('a', { leaseMs: 3000 })
    expect(await all.stop('a')).toMatchObject({ topic: 'a', isStopAsked: true })
    await expect.poll(() => run.signal.aborted).toBe(true)
    expect(run.signal.reason).toEqual(code('run_stopped'))
    await run.publish({ data: 'what was left' })
    await run.end({ outcome: 'stopped' })
    expect(await all.state('a')).toMatchObject({ outcome: 'stopped' })
  })

  test('a stop that is asked before the claim fires the signal at once', async () => {
    const { all } = open()
    expect(await all.stop('a')).toBeUndefined()
    const run = await all.claim('a')
    expect(run.signal.reason).toEqual(code('run_stopped'))
  })

  test('another producer that takes over fires the signal of the first, which can publish nothing more', async () => {
    const { all } = open()
    const first = await all.claim('a', { leaseMs: 60_000, key: 'me' })
    await first.publish({ data: '1' })
    await expect(all.claim('a')).rejects.toEqual(code('run_taken'))
    const second = await all.claim('a', { key: 'me' })
    expect(second).toMatchObject({ fence: 2, lastId: expect.stringMatching(/-1$/) })
    await expect(first.publish({ data: 'x' })).rejects.toEqual(code('run_lost'))
    expect(first.signal.reason).toEqual(code('run_lost'))
    await expect(first.end()).rejects.toEqual(code('run_lost'))
    await second.end({ data: '2' })
    expect(textOf(await itemsOf(all, 'a'))).toEqual(['1', '2'])
  })

  test.each([
    ['are refused', () => Promise.reject(new TypeError('connection refused'))],
    ['get no answer', () => new Promise<never>(() => {})],
  ])('the signal fires once the lease is over if renewals %s', async (_, answer) => {
    const { all, answerRenewals } = open()
    const run = await all.claim('a', { leaseMs: 1500, graceMs: 60_000 })
    answerRenewals(answer)
    const began = performance.now()
    await expect.poll(() => run.signal.aborted).toBe(true)
    expect(performance.now() - began).toBeGreaterThan(1400)
    expect(run.signal.reason).toBeInstanceOf(Error)
    expect((await all.state('a'))?.outcome).toBeUndefined()
  })

  test('a lease may have any whole number of ms', async () => {
    const { all } = open()
    const run = await all.claim('a', { leaseMs: 10_001, graceMs: 7 })
    expect(await run.renew()).toMatchObject({ leaseMs: 10_001, graceMs: 7 })
    await run.publish({ data: '1' })
    await run.end()
  })

  test('a silent producer hears that it was superseded', async () => {
    const { all } = open()
    const first = await all.claim('a', { leaseMs: 1500, key: 'me' })
    await all.claim('a', { key: 'me' })
    await expect.poll(() => first.signal.reason).toEqual(code('run_lost'))
  })

  test('an interrupted reader goes on after the last id', async () => {
    const { all } = open()
    const run = await all.claim('a')
    const [, second] = await run.publish([{ data: '1' }, { data: '2' }])
    await run.end({ data: '3' })
    const items: Delivered[] = []
    for await (const item of all.entries('a', { after: second!.id })) items.push(item)
    expect(textOf(items)).toEqual(['3'])
    expect(items.at(-1)).toMatchObject({ outcome: 'done' })
  })

  test('an iteration ends when its signal aborts', async () => {
    const { all } = open()
    await (await all.claim('a')).publish({ data: '1' })
    const control = new AbortController()
    for await (const item of all.entries('a', { signal: control.signal })) {
      expect(item).toMatchObject({ data: '1' })
      control.abort()
    }
  })

  test('deleting the topic ends the run, and may be repeated', async () => {
    const { all } = open()
    const run = await all.claim('a', { leaseMs: 1500 })
    await run.publish({ data: '1' })
    await all.delete('a')
    await all.delete('a')
    await expect.poll(() => run.signal.reason).toEqual(code('run_lost'))
    expect(await all.state('a')).toBeUndefined()
  })

  test('refuses a wrong claim', async () => {
    const { all } = open()
    for (const options of [{ leaseMs: 99 }, { leaseMs: 1.5 }, { leaseMs: 3_600_001 }, { graceMs: -1 }])
      await expect(all.claim('a', options)).rejects.toEqual(code('parameter_invalid'))
    await expect(all.claim('a/*')).rejects.toEqual(code('topic_invalid'))
    await expect(all.claim('$a')).rejects.toEqual(code('forbidden'))
  })

  test('a text that is no topic is refused, and names no other topic', async () => {
    const { hub, all } = open()
    await hub.publish({ topic: 'chat', data: '1' })
    for (const text of ['chat#1', 'chat?1', 'chat%2F', 'chat/*', '']) {
      for (const method of ['claim', 'state', 'stop', 'delete'] as const)
        await expect(all[method](text)).rejects.toEqual(code('topic_invalid'))
      await expect(itemsOf(all, text)).rejects.toEqual(code('topic_invalid'))
    }
    expect(await hub.directory.get('chat')).toMatchObject({ kept: 1, closed: false })
    expect(await all.state('chat')).toBeUndefined()
  })

  test('a topic whose segments are dots names no other topic', async () => {
    const { hub, all } = open()
    await hub.publish({ topic: 'chat', data: '1' })
    const run = await all.claim('a/../chat', { leaseMs: 60_000 })
    await run.publish({ data: '2' })
    expect(await run.renew()).toMatchObject({ topic: 'a/../chat' })
    expect(await all.state('a/../chat')).toMatchObject({ fence: 1 })
    await all.delete('a/../chat')
    expect(await hub.directory.get('chat')).toMatchObject({ kept: 1 })
    expect(await hub.directory.get('a/../chat')).toMatchObject({ kept: 0 })
  })
})

test('a stop that is asked while a claim is being answered fires the signal', async () => {
  const hub = new Hub(memoryLog)
  onTestFinished(() => hub.close())
  const claiming = runs(hub).claim('a', { leaseMs: 60_000 })
  const stopping = runs(hub).stop('a')
  const run = await claiming
  expect(await stopping).toMatchObject({ isStopAsked: true })
  await expect.poll(() => run.signal.aborted).toBe(true)
  await run.end({ outcome: 'stopped' })
})

test('a producer in this process hears that it was superseded long before it would renew its lease', async () => {
  const hub = new Hub(memoryLog)
  onTestFinished(() => hub.close())
  const first = await runs(hub).claim('a', { leaseMs: 3_600_000, key: 'me' })
  await pause(0) // the state that each claim asks for has arrived
  await runs(hub).claim('a', { leaseMs: 3_600_000, key: 'me' })
  await expect.poll(() => first.signal.reason).toEqual(code('run_lost'))
})

test('a publish whose answer is lost is sent again, and is published once', async () => {
  const hub = new Hub(memoryLog)
  onTestFinished(() => hub.close())
  const app = createApp({ hub })
  let lost = 0
  const fetch = async (url: string, init: RequestInit) => {
    const answer = await app.request(url, init)
    if (init.method !== 'POST' || lost++ % 2 === 1) return answer
    throw new TypeError('connection reset')
  }
  const run = await remoteRuns({ url: 'http://localhost', fetch }).claim('a')
  for (const data of ['1', '2']) expect(await run.publish({ data })).toMatchObject({ duplicate: false })
  await run.end()
  expect(lost).toBe(8)
  expect(await hub.directory.get('a')).toMatchObject({ kept: 3, closed: true })
})

describe('over a connection that is not to be relied on', () => {
  const open = () => {
    const hub = new Hub(memoryLog)
    onTestFinished(() => hub.close())
    return { hub, app: createApp({ hub }) }
  }

  test('a renewal that gets no answer does not delay the next one', async () => {
    const { app } = open()
    let renewals = 0
    const fetch = async (url: string, init: RequestInit): Promise<Response> => {
      if (init.method !== 'PATCH' || renewals++ > 0) return app.request(url, init)
      return new Promise((_, reject) => init.signal!.addEventListener('abort', () => reject(init.signal!.reason)))
    }
    const all = remoteRuns({ url: 'http://localhost', fetch })
    const run = await all.claim('a', { leaseMs: 2400, graceMs: 0 })
    await pause(3000)
    expect(renewals).toBeGreaterThan(1)
    expect(run.signal.aborted).toBe(false)
    expect((await all.state('a'))?.outcome).toBeUndefined()
    await run.end()
  })

  test('an answer that breaks off is asked for again, and nothing is published twice', async () => {
    const { hub, app } = open()
    let isBroken = true
    const fetch = async (url: string, init: RequestInit) => {
      const answer = await app.request(url, init)
      if (init.method !== 'POST' || !url.includes('/send') || !isBroken) return answer
      isBroken = false
      const body = new ReadableStream({ pull: (controller) => controller.error(new TypeError('terminated')) })
      return new Response(body, { status: 200, headers: answer.headers })
    }
    const run = await remoteRuns({ url: 'http://localhost', fetch }).claim('a')
    await run.publish({ data: '1' })
    expect(await hub.directory.get('a')).toMatchObject({ kept: 1 })
  })

  test('an iteration after the close of its topic ends at once', async () => {
    const { app } = open()
    let polls = 0
    const fetch = async (url: string, init: RequestInit) => {
      if (url.includes('/event')) polls++
      return app.request(url, init)
    }
    const all = remoteRuns({ url: 'http://localhost', fetch })
    const run = await all.claim('a')
    const { id } = await run.end({ data: 'last' })
    expect(await Array.fromAsync(all.entries('a', { after: id, signal: AbortSignal.timeout(15_000) }))).toEqual([])
    expect(polls).toBe(1)
  })

  test('after a stop a writer publishes the rest once the hub is back, and gives up once its lease is over', async () => {
    const { hub, app } = open()
    let isAway = false
    const fetch = async (url: string, init: RequestInit) => {
      if (isAway) throw new TypeError('connection refused')
      return app.request(url, init)
    }
    const all = remoteRuns({ url: 'http://localhost', fetch })
    await all.stop('a')
    const run = await all.claim('a', { leaseMs: 2000 })
    expect(run.signal.reason).toEqual(code('run_stopped'))
    const writer = new ChunkWriter(run, 'x')
    isAway = true
    await writer.write('1')
    await pause(200)
    isAway = false
    await writer.flush()
    expect(await hub.directory.get('a')).toMatchObject({ kept: 2 })
    isAway = true
    await writer.write('2')
    await expect(writer.flush()).rejects.toMatchObject({ code: 'run_lost', cause: code('log_unavailable') })
    await expect(writer.fail('why')).rejects.toEqual(code('run_lost'))
  })

  test('a writer of a released run publishes while it can, and does not wait for a hub that is away', async () => {
    const { app } = open()
    let isAway = false
    const fetch = async (url: string, init: RequestInit) => {
      if (isAway) throw new TypeError('connection refused')
      return app.request(url, init)
    }
    const run = await remoteRuns({ url: 'http://localhost', fetch }).claim('a', { leaseMs: 2000 })
    const writer = new ChunkWriter(run, 'x')
    run.release()
    await writer.write('1')
    await writer.flush()
    isAway = true
    await writer.write('2')
    await expect(writer.flush()).rejects.toMatchObject({ code: 'run_lost', cause: code('log_unavailable') })
  })

  test('a writer that ends its run gives up after at most two leases, however long they are', async () => {
    const { app } = open()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    let isAway = false
    const fetch = async (url: string, init: RequestInit) => {
      if (isAway) throw new TypeError('connection refused')
      return app.request(url, init)
    }
    const leaseMs = 3_600_000
    const run = await remoteRuns({ url: 'http://localhost', fetch }).claim('a', { leaseMs })
    isAway = true
    const ending = expect(new ChunkWriter(run, undefined).end()).rejects.toEqual(code('run_lost'))
    await vi.advanceTimersByTimeAsync(2 * leaseMs)
    await ending
  })

  test('the end of a run is no loss for its producer, however late its answer is', async () => {
    const { app } = open()
    const fetch = async (url: string, init: RequestInit) => {
      const answer = await app.request(url, init)
      if (url.includes('/send')) await pause(2000)
      return answer
    }
    const run = await remoteRuns({ url: 'http://localhost', fetch }).claim('a', { leaseMs: 1000 })
    await run.end()
    expect(run.signal.aborted).toBe(false)
  })
})

test('an iteration ends although the entry that closed its topic was trimmed before it was read', async () => {
  const hub = new Hub(() => memoryLog({ retention: { count: 3 } }))
  onTestFinished(() => hub.close())
  await hub.publish({ topic: 'a', data: '1' })
  const items = hub.entries('a', { until: 'closed', signal: AbortSignal.timeout(30_000) })
  expect(await items.next()).toMatchObject({ value: { data: '1' } })
  const second = items.next()
  await hub.publish({ topic: 'a', data: '2' })
  expect(await second).toMatchObject({ value: { data: '2' } })
  await hub.publish({ topic: 'a', close: true })
  for (let i = 0; i < 5; i++) await hub.publish({ topic: 'b', data: `${i}` })
  const began = performance.now()
  expect(await Array.fromAsync(items)).toMatchObject([{ kind: 'gap' }])
  expect(performance.now() - began).toBeLessThan(20_000)
})

test('a publish under a run is answered although nobody can tell whether a stop was asked', async () => {
  const log = memoryLog()
  const hub = new Hub(() => log)
  onTestFinished(() => hub.close())
  const app = createApp({ hub })
  const { token } = (await (await app.request('http://localhost/runs/a', { method: 'POST' })).json()) as {
    token: string
  }
  vi.spyOn(log.runs, 'get').mockRejectedValue(new Error('the log cannot be read'))
  const sent = await app.request('http://localhost/send?topic=a', {
    method: 'POST',
    body: '{"data":"1"}',
    headers: { 'content-type': 'application/json', 'tidings-run': token },
  })
  expect(sent.status).toBe(200)
})

test('a list of runs describes only those that it shows', async () => {
  const log = memoryLog()
  const hub = new Hub(() => log)
  onTestFinished(() => hub.close())
  for (const topic of ['a/x', 'b/y', 'c/x', 'd/y', 'e/x']) await nearRuns(hub).take(topic, {})
  const asked = vi.spyOn(log, 'topics')
  const app = createApp({ hub, grantOf: () => ({ subscribe: ['*/x'] }) })
  const listOf = async (query: string) => {
    const response = await app.request(`http://localhost/runs${query}`)
    const list = (await response.json()) as { runs: { topic: string }[]; next?: string }
    return [list.runs.map(({ topic }) => topic), list.next]
  }
  expect(await listOf('')).toEqual([['a/x', 'c/x', 'e/x'], undefined])
  expect(await listOf('?limit=1&after=a/x')).toEqual([['c/x'], 'c/x'])
  const described = asked.mock.calls.flatMap(([query]) => ('names' in query ? [...query.names] : []))
  expect(described).toEqual(['a/x', 'c/x', 'e/x', 'c/x'])
})
