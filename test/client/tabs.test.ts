import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Closed, connect, type Subscription } from '../../public/client.js'
import { createApp, Hub, memoryLog, runs } from '../../src/portable.ts'
import { control, event, fakeClock, open, problem, scripted, settled } from './scripted.ts'
import { wake } from './wake.ts'

let tabs = 0

beforeEach(() => {
  vi.stubGlobal('document', new EventTarget())
  onTestFinished(() => void vi.unstubAllGlobals())
})

/** A client in a tab of its own, which leads. */
function tabOf(fetch: (url: string, init: RequestInit) => Promise<Response>) {
  const client = connect({ url: 'http://localhost', shared: `tab ${++tabs}`, fetch })
  onTestFinished(() => client.close())
  return client
}

/** A hub that answers a tab. */
function answering(hub: Hub) {
  const settings = { publishRate: 'none', maxReadersPerAddress: 'none' } as const // requests without a socket have no address
  const app = createApp({ hub, open: true, settings })
  return async (url: string, init: RequestInit) => app.request(url, init)
}

/** A hub that a test plays, with the polls of a tab apart from the streams of the leader. */
function played() {
  fakeClock()
  const hubs = { poll: scripted(), stream: scripted() }
  const fetch = (url: string, init: RequestInit) => hubs[kindOf(init)].fetch(url, init)
  return { fetch, polls: hubs.poll.asked, nextPoll: hubs.poll.next, nextStream: hubs.stream.next }
}

function kindOf({ headers }: RequestInit): 'poll' | 'stream' {
  return (headers as Record<string, string>).accept === 'application/json' ? 'poll' : 'stream'
}

/** An event in the answer to a poll. */
const polled = (seq: number) => ({
  ...{ id: `e-${seq}`, topic: 'a', event: 'message', data: `${seq}`, time: '2026-11-28T09:00:00.000Z' },
})

/** Resolves once tabs have read what was posted to them before. */
async function channelsAreRead() {
  const [from, to] = [new BroadcastChannel('test'), new BroadcastChannel('test')]
  const read = new Promise((resolve) => {
    to.onmessage = resolve
  })
  from.postMessage('')
  await read
  from.close()
  to.close()
}

test('a tab whose client has other messages, as before an upgrade of the hub, shares nothing', async () => {
  const [heard, channel] = [vi.fn(), BroadcastChannel]
  const names: string[] = []
  vi.stubGlobal('BroadcastChannel', function made(name: string) {
    names.push(name)
    return new channel(name)
  })
  const hub = new Hub(memoryLog)
  const subscription = tabOf(answering(hub)).subscribe('a', { onEvent: heard })
  await expect.poll(() => subscription.state.state).toBe('live')
  await hub.publish({ topic: 'a', data: '1' })
  await expect.poll(() => heard).toHaveBeenCalledOnce()
  const shared = names.filter((name) => name.includes(`tab ${tabs}`))
  expect(shared.length).toBeGreaterThan(1)
  expect(shared.filter((name) => !name.startsWith('tidings 2 '))).toEqual([])
  await hub.close()
})

test('two hubs of one origin share nothing, although a tab gives them one name', async () => {
  const hubs = [new Hub(memoryLog), new Hub(memoryLog)]
  const shared = `tab ${++tabs}`
  const heard: string[][] = [[], []]
  for (const [i, hub] of hubs.entries()) {
    const answer = answering(hub)
    const fetch = (url: string, init: RequestInit) => answer(url.replace(`/hub-${i}/`, '/'), init)
    const client = connect({ url: `http://localhost/hub-${i}/`, shared, fetch })
    onTestFinished(() => client.close())
    const subscription = client.subscribe('a', { onEvent: ({ data }) => heard[i]!.push(data) })
    await expect.poll(() => subscription.state.state).toBe('live')
  }
  for (const [i, hub] of hubs.entries()) await hub.publish({ topic: 'a', data: `of hub ${i}` })
  await expect.poll(() => heard).toEqual([['of hub 0'], ['of hub 1']])
  for (const hub of hubs) await hub.close()
})

test('a tab that polls what came before is told how each topic ended', async () => {
  const hub = new Hub(memoryLog)
  const failed = await runs(hub).claim('failed')
  await failed.publish({ data: 'a part' })
  await failed.end({ outcome: 'failed', detail: 'no more' })
  await (await runs(hub).claim('stopped')).end({ outcome: 'stopped' })
  await hub.publish({ topic: 'plain', data: 'all', close: true })
  const closed: Closed[] = []
  const client = tabOf(answering(hub))
  const subscription = client.subscribe(['failed', 'stopped', 'plain'], {
    from: 'earliest',
    onEvent() {},
    onClosed: (one) => closed.push(one),
  })
  await expect.poll(() => subscription.state).toEqual({ state: 'closed' })
  expect(closed).toEqual([
    { topic: 'failed', outcome: 'failed', detail: 'no more' },
    { topic: 'stopped', outcome: 'stopped' },
    { topic: 'plain', outcome: 'done' },
  ])

  const { position } = subscription
  client.subscribe('plain', { lastEventId: position!, onEvent() {}, onClosed: (one) => closed.push(one) })
  await expect.poll(() => closed.at(-1)).toEqual({ topic: 'plain', outcome: undefined })
})

test('topics that are all closed before the leader reads them are read to their end, and other topics after them', async () => {
  const { fetch, nextPoll, nextStream } = played()
  const heard: unknown[] = []
  const client = tabOf(fetch)
  client.subscribe('a', { onEvent: ({ data }) => heard.push(data), onClosed: (one) => heard.push(one) })
  ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
  const stream = await nextStream()
  const other = client.subscribe('b', { onEvent: ({ data }) => heard.push(data) })
  ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
  stream.answer(204)
  const closed = { topic: 'a', outcome: 'failed', detail: 'no more' }
  ;(await nextPoll()).answer(200, { events: [polled(2)], position: 'e-2', closed: ['a'], ended: [closed] })
  await expect.poll(() => heard).toEqual(['2', closed])
  ;(await nextStream()).stream(open('live', 'e-2'))
  ;(await nextPoll()).answer(200, { events: [], position: 'e-2' })
  await expect.poll(() => other.state).toEqual({ state: 'live' })
})

describe('a closed topic that is deleted and used again', () => {
  const alone: typeof tabOf = (fetch) => {
    const client = connect({ url: 'http://localhost', fetch })
    onTestFinished(() => client.close())
    return client
  }

  test.each([
    ['a stream of its own', alone],
    ['the stream of all tabs', tabOf],
  ])('is read on by %s, and closes again', async (_, clientOf) => {
    const hub = new Hub(memoryLog)
    const heard: unknown[] = []
    const subscription = clientOf(answering(hub)).subscribe(['a', 'b'], {
      onEvent: ({ data }) => heard.push(data),
      onClosed: ({ topic }) => heard.push({ closed: topic }),
    })
    await expect.poll(() => subscription.state).toEqual({ state: 'live' })
    await hub.publish({ topic: 'a', data: '1', close: true })
    await expect.poll(() => heard).toEqual(['1', { closed: 'a' }])
    await hub.directory.erase('a')
    await hub.publish([
      { topic: 'a', data: '2' },
      { topic: 'b', data: '3', close: true },
      { topic: 'a', data: '4', close: true },
    ])
    await expect.poll(() => subscription.state).toEqual({ state: 'closed' })
    expect(heard.slice(2)).toEqual(['2', '3', { closed: 'b' }, '4', { closed: 'a' }])
  })

  test('is read by a tab that asks for it anew, although the other topics of the shared stream close', async () => {
    const hub = new Hub(memoryLog)
    const heard: unknown[] = []
    const client = tabOf(answering(hub))
    const former = client.subscribe(['a', 'b'], {
      onEvent() {},
      onClosed: ({ topic }) => heard.push({ closed: topic }),
    })
    await expect.poll(() => former.state).toEqual({ state: 'live' })
    await hub.publish({ topic: 'a', data: '1', close: true })
    await expect.poll(() => heard).toEqual([{ closed: 'a' }])
    await hub.directory.erase('a')
    const later = client.subscribe('a', { onEvent: ({ data }) => heard.push(data) })
    await expect.poll(() => later.state).toEqual({ state: 'live' })
    await hub.publish([
      { topic: 'b', data: '2', close: true },
      { topic: 'a', data: '3' },
    ])
    await expect.poll(() => heard).toContain('3')
  })
})

test('a tab that is denied the lock of the leader does not ask for it again and again', async () => {
  let requests = 0
  const { locks } = navigator
  vi.stubGlobal('navigator', {
    locks: {
      request(name: string, ...rest: [LockGrantedCallback<unknown>]) {
        if (!name.endsWith(' leader')) return locks.request(name, ...rest)
        if (++requests > 1000) return new Promise(() => {})
        return Promise.reject(new DOMException('The request was denied.', 'SecurityError'))
      },
    },
  })
  const { fetch, nextPoll } = played()
  tabOf(fetch).subscribe('a', { onEvent() {} })
  await nextPoll()
  expect(requests).toBe(1)
})

test('events that arrive together are posted to a tab in one message, with the position of the stream', async () => {
  const { fetch, nextPoll, nextStream } = played()
  const heard: string[] = []
  const subscription = tabOf(fetch).subscribe('a', { onEvent: ({ id }) => heard.push(id) })
  ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
  const stream = (await nextStream()).stream(open('live', 'e-1'))
  ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
  await expect.poll(() => subscription.state).toEqual({ state: 'live' })
  const posted = vi.spyOn(BroadcastChannel.prototype, 'postMessage')
  onTestFinished(() => posted.mockRestore())
  await stream.send(event(2) + event(3))
  await expect.poll(() => heard).toEqual(['e-2', 'e-3'])
  expect(posted.mock.calls).toEqual([
    [expect.objectContaining({ position: 'e-3', events: heard.map((id) => expect.objectContaining({ id })) })],
  ])
})

test('a tab without subscriptions holds no channel open, and opens channels again for the next one', async () => {
  const channels = new Set<BroadcastChannel>()
  class Channel extends BroadcastChannel {
    constructor(name: string) {
      super(name)
      channels.add(this)
    }
    override close() {
      super.close()
      channels.delete(this)
    }
  }
  vi.stubGlobal('BroadcastChannel', Channel)
  const client = tabOf(answering(new Hub(memoryLog)))
  for (let turn = 0; turn < 2; turn++) {
    const subscription = client.subscribe('a', { onEvent() {} })
    await expect.poll(() => subscription.state).toEqual({ state: 'live' })
    expect(channels.size).toBeGreaterThan(0)
    subscription.close()
    await expect.poll(() => channels.size).toBe(0)
  }
})

describe('a token whose function throws', () => {
  function failing() {
    const { fetch, ...hub } = played()
    const token = vi.fn().mockRejectedValue(new Error('the login is away'))
    const client = connect({ url: 'http://localhost', shared: true, fetch, token })
    onTestFinished(() => client.close())
    const subscription = client.subscribe('a', { onEvent() {}, onState() {} })
    return { ...hub, token, client, subscription }
  }

  test('is told to the subscription, and asked for again later', async () => {
    const { token, subscription, polls, nextPoll, nextStream } = failing()
    const error = { message: expect.stringContaining('the login is away') }
    await expect.poll(() => subscription.state).toMatchObject({ state: 'reconnecting', retryInMs: 1500, error })
    token.mockResolvedValue('late')
    await vi.advanceTimersByTimeAsync(1500)
    await expect.poll(() => polls).toHaveLength(1) // a hash of the token is made first, which waits for no timer
    const poll = await nextPoll()
    expect(poll.headers.authorization).toBe('Bearer late')
    poll.answer(200, { events: [], position: 'e-1' })
    ;(await nextStream()).stream(open('live', 'e-1'))
    ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
    await expect.poll(() => subscription.state).toEqual({ state: 'live' })
  })

  test('is not asked for again once the client is closed', async () => {
    const { token, client, subscription } = failing()
    await expect.poll(() => subscription.state).toMatchObject({ state: 'reconnecting' })
    client.close()
    const { length } = token.mock.calls
    await vi.advanceTimersByTimeAsync(120_000)
    expect(token.mock.calls).toHaveLength(length)
  })
})

describe('a tab reads a stream of its own', () => {
  test('for topics that the shared stream has no room for, after the events that it had', async () => {
    const { fetch, nextPoll, nextStream } = played()
    const { promise: passed, resolve: pass } = Promise.withResolvers<void>()
    const heard: string[] = []
    const client = tabOf(fetch)
    client.subscribe('a', { onEvent: ({ id }) => heard.push(id) && passed, onGap() {} })
    ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
    const stream = (await nextStream()).stream(open('live', 'e-1'))
    ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
    await channelsAreRead()
    void stream.send(event(2) + event(3) + control('gap', { reason: 'trimmed' }, 'id: e-9\n'))
    await expect.poll(() => heard).toEqual(['e-2'])

    client.subscribe('b', { onEvent() {} })
    ;(await nextPoll()).answer(200, { events: [], position: 'e-9' })
    ;(await nextStream()).answer(400, problem('too_many_topics'))
    expect((await nextStream()).query.getAll('topic')).toEqual(['b'])
    await channelsAreRead()
    pass()
    const own = await nextStream()
    expect([own.query.getAll('topic'), own.query.get('lastEventId'), heard]).toEqual([['a'], 'e-3', ['e-2', 'e-3']])
  })

  test('where locks are denied', async () => {
    // Only the first 1,000 times: a client that asks on and on would freeze the test instead of failing it.
    const request = vi.fn((): Promise<void> => {
      if (request.mock.calls.length > 1000) return new Promise(() => {})
      return Promise.reject(new DOMException('The request was denied.', 'SecurityError'))
    })
    vi.stubGlobal('navigator', { locks: { request } })
    await expectOwnStream()
    expect(request.mock.calls.length).toBeLessThan(5)
  })

  test('where there are no locks', async () => {
    vi.stubGlobal('navigator', {})
    await expectOwnStream()
  })

  test('where channels are denied', async () => {
    vi.stubGlobal('BroadcastChannel', function denied() {
      throw new DOMException('Access is denied for this document.', 'SecurityError')
    })
    await expectOwnStream()
  })

  async function expectOwnStream() {
    const { fetch, nextStream } = played()
    const heard: string[] = []
    tabOf(fetch).subscribe('a', { onEvent: ({ data }) => heard.push(data) })
    ;(await nextStream()).stream(open() + event(1))
    await expect.poll(() => heard).toEqual(['1'])
  }
})

describe('a poll', () => {
  test('ends with its subscription', async () => {
    const { fetch, nextPoll } = played()
    const subscription = tabOf(fetch).subscribe('a', { onEvent() {} })
    const { signal } = await nextPoll()
    expect(signal?.aborted).toBe(false)
    subscription.close()
    await expect.poll(() => signal?.aborted).toBe(true)
  })

  test('without an answer is repeated after 30 s', async () => {
    const limit = new AbortController()
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(limit.signal)
    const { fetch, nextPoll } = played()
    const states: string[] = []
    tabOf(fetch).subscribe('a', { onEvent() {}, onState: ({ state }) => states.push(state) })
    await nextPoll()
    expect(timeout.mock.calls).toEqual([[30_000]])
    timeout.mockRestore()
    limit.abort(new DOMException('The operation timed out.', 'TimeoutError'))
    await vi.advanceTimersByTimeAsync(1500)
    await nextPoll()
    expect(states).toEqual(['reconnecting'])
  })

  test('that fails is repeated at once when the runtime is online again, but not before Retry-After', async () => {
    const { fetch, polls, nextPoll } = played()
    const subscription = tabOf(fetch).subscribe('a', { onEvent() {}, onState() {} })
    ;(await nextPoll()).refuse()
    await expect.poll(() => subscription.state).toMatchObject({ state: 'reconnecting', retryInMs: 1500 })
    wake('online')
    ;(await nextPoll()).answer(429, problem('rate_limited'), { 'retry-after': '5' })
    await settled()
    expect(subscription.state).toMatchObject({ state: 'reconnecting', retryInMs: 6500 })
    wake('online')
    await vi.advanceTimersByTimeAsync(6499)
    expect(polls).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(polls).toHaveLength(1)
  })

  test('is repeated if a topic closes meanwhile, and gives the last events before the close', async () => {
    const { fetch, nextPoll, nextStream } = played()
    const heard: unknown[] = []
    tabOf(fetch).subscribe('a', { onEvent: ({ data }) => heard.push(data), onClosed: (one) => heard.push(one) })
    ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
    const stream = (await nextStream()).stream(open('live', 'e-1'))
    const early = await nextPoll()
    const closed = { topic: 'a', outcome: 'stopped' }
    void stream.send(event(2) + control('closed', closed, 'id: e-2\n'))
    await expect.poll(() => stream.reads).toBe(2)
    await channelsAreRead()
    early.answer(200, { events: [], position: 'e-1' })
    const late = await nextPoll()
    expect([late.query.get('lastEventId'), heard]).toEqual(['e-1', []])
    late.answer(200, { events: [polled(2)], position: 'e-2', closed: ['a'], ended: [closed] })
    await expect.poll(() => heard).toEqual(['2', closed])
  })
})

describe('other topics of a subscription that shares a stream', () => {
  test('can be asked for in onEvent, although the next event waits for its promise', async () => {
    const hub = new Hub(memoryLog)
    await hub.publish({ topic: 'a', data: 'polled' })
    const heard: string[] = []
    const subscription: Subscription = tabOf(answering(hub)).subscribe('a', {
      from: 'earliest',
      async onEvent({ data }) {
        await subscription.change(data === 'polled' ? ['a', 'b'] : ['a', 'b', 'c'])
        heard.push(data)
      },
    })
    await expect.poll(() => [heard, subscription.state]).toEqual([['polled'], { state: 'live' }])
    await hub.publish({ topic: 'a', data: 'live' })
    await hub.publish({ topic: 'c', data: 'of another topic' })
    await expect.poll(() => heard).toEqual(['polled', 'live', 'of another topic'])
  })

  test('that are refused change nothing', async () => {
    const hub = new Hub(memoryLog)
    const heard: string[] = []
    const subscription = tabOf(answering(hub)).subscribe('a', { onEvent: ({ data }) => heard.push(data) })
    await expect.poll(() => subscription.state).toEqual({ state: 'live' })
    const refused = expect(subscription.change('not a topic')).rejects.toMatchObject({ status: 400 })
    await hub.publish({ topic: 'a', data: 'meanwhile' })
    await refused
    await expect.poll(() => [heard, subscription.topics]).toEqual([['meanwhile'], ['a']])
    await hub.publish({ topic: 'a', data: 'later' })
    await expect.poll(() => heard).toEqual(['meanwhile', 'later'])
  })

  test('that replace a poll get the events that it gave only once, one after the other', async () => {
    const hub = new Hub(memoryLog)
    for (const data of ['1', '2', '3']) await hub.publish({ topic: 'a', data })
    const { promise: passed, resolve: pass } = Promise.withResolvers<void>()
    const heard: string[] = []
    const subscription = tabOf(answering(hub)).subscribe('a', {
      from: 'earliest',
      async onEvent({ data }) {
        heard.push(data)
        if (data === '1') await passed
      },
    })
    await expect.poll(() => heard).toEqual(['1'])
    await subscription.change(['a', 'b'])
    await hub.publish({ topic: 'b', data: '4' })
    await channelsAreRead()
    expect(heard).toEqual(['1'])
    pass()
    await expect.poll(() => heard.at(-1)).toBe('4')
    expect(heard).toEqual(['1', '2', '3', '4'])
  })
})

describe('the position of a subscription that shares a stream', () => {
  async function live(onEvent?: (event: { data: string }) => unknown) {
    const hub = new Hub(memoryLog)
    const subscription = tabOf(answering(hub)).subscribe('a', onEvent && { onEvent })
    await expect.poll(() => subscription.state).toEqual({ state: 'live' })
    const publish = async (...data: string[]) => {
      const published = await hub.publish(data.map((one) => ({ topic: 'a', data: one })))
      return published.map(({ id }) => id)
    }
    return { subscription, publish }
  }

  test('stays at the event at which the program closes it', async () => {
    const { subscription, publish } = await live(({ data }) => data === '2' && subscription.close())
    const ids = await publish('1', '2', '3')
    await expect.poll(() => subscription.state).toEqual({ state: 'stopped' })
    expect(subscription.position).toBe(ids[1])
  })

  test('stays at the event of a poll at which the program closes it', async () => {
    const hub = new Hub(memoryLog)
    const { id } = await hub.publish({ topic: 'a', data: '1' })
    await hub.publish({ topic: 'b', data: '2' })
    const subscription: Subscription = tabOf(answering(hub)).subscribe('a', {
      from: 'earliest',
      onEvent: () => subscription.close(),
    })
    await expect.poll(() => subscription.state).toEqual({ state: 'stopped' })
    expect(subscription.position).toBe(id)
  })

  test('does not move once it is closed, at whatever moment', async () => {
    const hub = new Hub(memoryLog)
    const client = tabOf(answering(hub))
    const other = client.subscribe('b', { onEvent() {} })
    for (let turns = 0; turns < 20; turns++) {
      const { promise: passed, resolve: pass } = Promise.withResolvers<void>()
      const subscription = client.subscribe('a', { onEvent: () => passed })
      await expect.poll(() => [subscription.state.state, other.state.state]).toEqual(['live', 'live'])
      const [first] = await hub.publish([
        { topic: 'a', data: '' },
        { topic: 'b', data: '' },
      ])
      await expect.poll(() => subscription.position).toBe(first!.id)
      await channelsAreRead() // with the position of the stream, which is that of the other event
      pass()
      for (let turn = 0; turn < turns; turn++) await undefined
      subscription.close()
      const { position } = subscription
      await channelsAreRead()
      expect([turns, subscription.position]).toEqual([turns, position])
    }
  })

  test('stays at the last event that a loop was given', async () => {
    const { subscription, publish } = await live()
    const ids = await publish('1', '2', '3')
    await expect.poll(() => subscription.position).toBe(ids[2])
    for await (const { data } of subscription) if (data === '2') break
    expect(subscription.position).toBe(ids[1])
  })

  test('does not move back if the shared stream is behind the poll', async () => {
    const { fetch, nextPoll, nextStream } = played()
    const heard: string[] = []
    const subscription = tabOf(fetch).subscribe('a', { onEvent: ({ id }) => heard.push(id) })
    ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
    const stream = (await nextStream()).stream(open('live', 'e-1'))
    ;(await nextPoll()).answer(200, { events: [polled(2), polled(3)], position: 'e-3' })
    ;(await nextPoll()).answer(200, { events: [], position: 'e-3' })
    await expect.poll(() => subscription.state).toEqual({ state: 'live' })
    await stream.send(event(2))
    await channelsAreRead()
    await stream.send(event(3), event(4))
    await expect.poll(() => heard.at(-1)).toBe('e-4')
    expect(heard).toEqual(['e-2', 'e-3', 'e-4'])
  })

  test('stays before a gap that follows its last event, so that a poll tells of the gap', async () => {
    const { fetch, nextPoll, nextStream } = played()
    const reasons: string[] = []
    const subscription = tabOf(fetch).subscribe('a', {
      onEvent() {},
      onGap: ({ reason }) => reasons.push(reason),
    })
    ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
    const stream = (await nextStream()).stream(open('live', 'e-1'))
    ;(await nextPoll()).answer(200, { events: [], position: 'e-1' })
    await expect.poll(() => subscription.state).toEqual({ state: 'live' })
    const gap = { reason: 'trimmed', from: 'e-2', to: 'e-9', exact: true }
    void stream.send(event(2) + control('gap', gap, 'id: e-9\n'))
    const poll = await nextPoll()
    expect(poll.query.get('lastEventId')).toBe('e-2')
    poll.answer(200, { events: [], position: 'e-9', gaps: [gap] })
    await expect.poll(() => reasons).toEqual(['trimmed'])
  })
})
