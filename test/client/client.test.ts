import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  backoffMs,
  type Client,
  type ConnectOptions,
  connect,
  type SubscribeOptions,
  type TidingsError,
} from '../../public/client.js'
import { control, event, fakeClock, open, problem, scripted, settled } from './scripted.ts'
import { wake } from './wake.ts'

beforeEach(fakeClock)

/** A client of a scripted hub, and what its subscription to `a` reports. */
function play(options: Partial<ConnectOptions> = {}, subscribing: SubscribeOptions = {}) {
  const { client, ...hub } = clientOf(options)
  const heard: string[] = []
  const states: string[] = []
  const subscription = client.subscribe('a', {
    onEvent: ({ data, id }) => heard.push(`${data} ${id}`),
    onState: (state) => states.push('retryInMs' in state ? `${state.state} in ${state.retryInMs}` : state.state),
    ...subscribing,
  })
  return { ...hub, client, heard, states, subscription }
}

function clientOf(options: Partial<ConnectOptions> = {}) {
  const { asked, fetch, next } = scripted()
  const client: Client = connect({ url: 'http://hub/live', fetch, ...options })
  onTestFinished(() => client.close())
  return { client, asked, next }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('a subscription', () => {
  test('asks for its topics in envelopes from where it begins, and then after the last id', async () => {
    const { next, heard } = play({}, { last: 5, latest: true, gaps: true, repeatMs: 2000 })
    const first = await next()
    expect([first.method, first.path]).toEqual(['GET', '/live/event?…'])
    expect(`${first.query}`).toBe('topic=a&last=5&envelope=true&latest=true&gaps=true&repeat=2000')
    const stream = first.stream(open(), event(1), event(2))
    await settled()
    expect(heard).toEqual(['1 e-1', '2 e-2'])
    await stream.cut()
    await pass(1500)
    const second = await next()
    expect(`${second.query}`).toBe('topic=a&lastEventId=e-2&envelope=true&latest=true&gaps=true&repeat=2000')
  })

  test('gives events with their topic, name and time, and repeats without an id', async () => {
    const events: unknown[] = []
    const { next } = play({}, { onEvent: (event) => events.push(event) })
    const stream = (await next()).stream(open())
    await stream.send('event: said\n', event(7, '{"n":1}', { topic: 'a/b', event: 'said' }))
    await stream.send(event(7, 'again').replace(/id: .*\n/, ''))
    const time = '2026-11-28T09:00:00.000Z'
    expect(events).toEqual([
      { id: 'e-7', topic: 'a/b', event: 'said', data: '{"n":1}', time },
      { id: '', topic: 'a', event: 'message', data: 'again', time },
    ])
  })

  test('sends a list of topics that is too long for a URL as a form', async () => {
    const { client, next } = clientOf()
    client.subscribe(Array.from({ length: 100 }, (_, i) => `a-topic-with-a-rather-long-name/${i}`))
    const { method, path, body } = await next()
    expect([method, path]).toEqual(['POST', '/live/event'])
    expect(new URLSearchParams(body).getAll('topic')).toHaveLength(100)
  })

  test('takes the position of a control event, and reports neither it nor a frame that is cut off', async () => {
    const { next, heard, subscription } = play()
    const stream = (await next()).stream(open('live', 'e-3'), control('checkpoint', {}, 'id: e-9\n'))
    await settled()
    await stream.send('data: half\nid: e-10\n')
    await stream.cut()
    expect([heard, subscription.position]).toEqual([[], 'e-9'])
  })

  test('ends by close(), by its signal, and by leaving the loop, and lets go of the stream', async () => {
    const { client, next } = clientOf()
    const aborting = new AbortController()
    const ends = [
      () => byClose.close(),
      () => aborting.abort(),
      async () => {
        for await (const _ of byLoop) break
      },
    ]
    const byClose = client.subscribe('a')
    const bySignal = client.subscribe('a', { signal: aborting.signal })
    const byLoop = client.subscribe('a')
    for (const [i, subscription] of [byClose, bySignal, byLoop].entries()) {
      const stream = (await next()).stream(open(), event(1))
      await settled()
      await ends[i]!()
      await settled()
      expect([i, stream.isCancelled, subscription.state]).toEqual([i, true, { state: 'stopped' }])
    }
    expect(vi.getTimerCount()).toBe(0)
    expect(client.subscribe('a', { signal: aborting.signal }).state).toEqual({ state: 'stopped' })
  })

  test('goes on after a callback that throws or rejects, and reports the error as uncaught', async () => {
    const thrown: unknown[] = []
    const microtask = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((run) => {
      try {
        run()
      } catch (error) {
        thrown.push(error)
      }
    })
    onTestFinished(() => microtask.mockRestore())
    const seen: string[] = []
    const { next } = play(
      {},
      {
        onEvent: ({ data }) => {
          seen.push(data)
          if (data === '1') throw 'at once'
          return data === '2' ? Promise.reject('later') : undefined
        },
      },
    )
    ;(await next()).stream(open(), event(1), event(2), event(3))
    await settled()
    expect([seen, thrown]).toEqual([
      ['1', '2', '3'],
      ['at once', 'later'],
    ])
  })

  test('waits for the promise of onEvent before the next event', async () => {
    const seen: string[] = []
    const { next } = play(
      {},
      {
        async onEvent({ data }) {
          await new Promise((resolve) => setTimeout(resolve, 10))
          seen.push(data)
        },
      },
    )
    ;(await next()).stream(open(), event(1), event(2))
    await pass(10)
    expect(seen).toEqual(['1'])
    await pass(10)
    expect(seen).toEqual(['1', '2'])
  })

  test('stops reading while 256 events wait for an iteration, and loses none', async () => {
    const { client, next } = clientOf()
    const subscription = client.subscribe('a')
    const stream = (await next()).stream(open())
    for (let i = 1; i <= 400; i++) await stream.send(event(i))
    expect(stream.reads).toBeLessThan(300)
    await pass(120_000)
    expect(subscription.state).toEqual({ state: 'live' })
    const seen: string[] = []
    for await (const { data } of subscription) {
      seen.push(data)
      if (seen.length === 400) break
    }
    expect(seen).toEqual(Array.from({ length: 400 }, (_, i) => `${i + 1}`))
  })

  test('keeps the position of the last event that the loop was given when the loop is left', async () => {
    const { client, next } = clientOf()
    const subscription = client.subscribe('a')
    ;(await next()).stream(open(), event(1), event(2), event(3), control('checkpoint', {}, 'id: e-9\n'))
    await settled()
    expect(subscription.position).toBe('e-9')
    for await (const { data } of subscription) if (data === '2') break
    expect(subscription.position).toBe('e-2')
  })
})

test('credentials are those of the browser, for streams and publishes', async () => {
  const inits: RequestInit[] = []
  const { fetch, next } = scripted()
  const client = connect({
    url: 'http://hub/live',
    credentials: 'include',
    fetch: (url, init) => {
      inits.push(init!)
      return fetch(url as string, init!)
    },
  })
  onTestFinished(() => client.close())
  client.subscribe('a')
  ;(await next()).stream(open())
  void client.publish({ topic: 'a', data: 1 })
  ;(await next()).answer(200, { id: 'e-1', duplicate: false })
  expect(inits.map(({ credentials }) => credentials)).toEqual(['include', 'include'])
})

describe('a stream that is lost', () => {
  test('waits at random, at most as long as it has lasted, and up to one retry and 30 s in any case', () => {
    const bounds = [0, 2000, 6000, 29_000, 31_000, 3_600_000].map((awayMs) => backoffMs(awayMs, 3000, () => 1))
    expect(bounds).toEqual([3000, 3000, 6000, 29_000, 30_000, 30_000])
    expect(backoffMs(20_000, 3000, () => 0)).toBe(0)
    expect(backoffMs(2000, 60_000, () => 1)).toBe(60_000)
  })

  test('is opened again at most as long after its hub is back as the hub was away, however often that was tried', async () => {
    const { next, states } = play()
    const random = vi.mocked(Math.random).mockReturnValue(0.01)
    for (let i = 0; i < 10; i++) {
      ;(await next()).refuse()
      await pass(30)
    }
    random.mockReturnValue(1)
    for (const ms of [3000, 3300, 6600]) {
      ;(await next()).refuse()
      await settled()
      expect(states.at(-1)).toBe(`reconnecting in ${ms}`)
      await pass(ms)
    }
  })

  test('is opened again after a longer pause the longer it lasts, and after a short one once it was open', async () => {
    const { next, states } = play()
    ;(await next()).refuse()
    await pass(1500)
    const second = await next()
    await pass(4500)
    second.answer(502)
    await pass(3000)
    ;(await next()).refuse()
    await pass(4500)
    const stream = (await next()).stream(open())
    await settled()
    await stream.end()
    expect(states).toEqual([
      'reconnecting in 1500',
      'reconnecting in 3000',
      'reconnecting in 4500',
      'live',
      'reconnecting in 1500',
    ])
  })

  test('waits exactly as long as hub.ending says, also when the runtime wakes up', async () => {
    const { next, asked, states } = play()
    const stream = (await next()).stream(open(), control('ending', {}, 'retry: 7000\n'))
    await settled()
    await stream.end()
    expect(states).toEqual(['live', 'reconnecting in 7000'])
    wake('online')
    await pass(6999)
    expect(asked).toEqual([])
    await pass(1)
    expect(asked).toHaveLength(1)
  })

  test('waits for Retry-After and a random part', async () => {
    const { next, states } = play()
    ;(await next()).answer(429, problem('too_many_readers'), { 'retry-after': '5' })
    await settled()
    expect(states).toEqual(['reconnecting in 6500'])
  })

  test('comes back at once when the runtime is online again', async () => {
    const { next } = play()
    ;(await next()).refuse()
    await settled()
    wake('online')
    const stream = (await next()).stream(open())
    await settled()
    wake('online') // the open connection is of the former network
    expect((await next()).query.get('lastEventId')).toBe('e-0')
    expect(stream.isCancelled).toBe(true)
  })

  test('resumes after the last event that was delivered, at whatever moment the connection ends', async () => {
    for (let turns = 0; turns < 20; turns++) {
      const { client, next } = clientOf()
      const heard: string[] = []
      client.subscribe('a', {
        async onEvent({ id }) {
          heard.push(id)
          if (id !== 'e-1') return
          void (async () => {
            for (let turn = 0; turn < turns; turn++) await undefined
            wake('online')
          })()
        },
      })
      ;(await next()).stream(open() + event(1) + event(2) + event(3))
      expect([turns, (await next()).query.get('lastEventId')]).toEqual([turns, heard.at(-1)])
      client.close()
    }
  })

  test('takes another answer than an event stream for a failure that passes', async () => {
    const { next, subscription } = play()
    ;(await next()).answer(200, 'sign in to the wireless network')
    await settled()
    expect(subscription.state).toMatchObject({ state: 'reconnecting', error: { code: 'not_a_hub' } })
  })
})

describe('a dead connection', () => {
  test('is noticed within two heartbeats of silence', async () => {
    const { next, heard, states, subscription } = play()
    const stream = (await next()).stream(open())
    await stream.send(event(1))
    await pass(26_000)
    expect(stream.isCancelled).toBe(false)
    await pass(4000)
    expect(stream.isCancelled).toBe(true)
    expect(subscription.state).toMatchObject({ state: 'reconnecting', error: { code: 'silent' } })
    expect(states.at(-1)).toBe('reconnecting in 1500')
    await pass(1500)
    ;(await next()).stream(open('resumed', 'e-1'), event(2))
    await settled()
    expect(heard).toEqual(['1 e-1', '2 e-2'])
  })

  test('is not one that has heartbeats, or whose events are being handled', async () => {
    const { next } = play({}, { onEvent: () => new Promise((resolve) => setTimeout(resolve, 100_000)) })
    const stream = (await next()).stream(open())
    await settled()
    for (let i = 0; i < 10; i++) {
      await pass(15_000)
      await stream.send(':\n')
    }
    await stream.send(event(1))
    await pass(99_000)
    expect(stream.isCancelled).toBe(false)
  })

  test('is noticed when a request is not answered', async () => {
    const { next, subscription } = play()
    await next()
    await pass(30_000)
    expect(subscription.state).toMatchObject({ state: 'reconnecting', error: { code: 'silent' } })
  })

  test('is noticed at once when the runtime wakes from sleep', async () => {
    const { next } = play()
    const stream = (await next()).stream(open())
    await settled()
    wake('visibilitychange')
    await settled()
    expect(stream.isCancelled).toBe(false)
    vi.setSystemTime(Date.now() + 40_000) // asleep, without timers
    wake('visibilitychange')
    await settled()
    expect(stream.isCancelled).toBe(true)
  })

  test('is not assumed of a hub with longer heartbeats, once one was heard', async () => {
    const { next } = play()
    const first = (await next()).stream(open())
    await pass(30_000)
    expect(first.isCancelled).toBe(true)
    await pass(1500)
    const second = (await next()).stream(open('resumed'))
    await pass(50_000)
    await second.send(':\n')
    for (let i = 0; i < 3; i++) {
      await pass(85_000)
      expect(second.isCancelled).toBe(false)
      await second.send(':\n')
    }
  })
})

describe('a token', () => {
  const tokens = () => {
    let count = 0
    return vi.fn(async () => `token-${++count}`)
  }

  test('of a function is asked for once, and sent by every request', async () => {
    const token = tokens()
    const { next, client } = play({ token })
    expect((await next()).headers).toMatchObject({ authorization: 'Bearer token-1' })
    void client.publish({ topic: 'a', data: 1 }).catch(() => {})
    expect((await next()).headers).toMatchObject({ authorization: 'Bearer token-1' })
    expect(token).toHaveBeenCalledTimes(1)
  })

  test('that expires is replaced on the live stream, which goes on', async () => {
    const { next, heard, states } = play({ token: tokens() })
    const stream = (await next()).stream(open(), control('expiring', { at: 'soon' }))
    const renewal = await next()
    expect([renewal.method, renewal.path, renewal.headers.authorization]).toEqual([
      'POST',
      `/live/streams/${'ab'.repeat(16)}`,
      'Bearer token-2',
    ])
    renewal.answer(200, {})
    await stream.send(event(1))
    expect([heard, states]).toEqual([['1 e-1'], ['live']])
  })

  test('of a stream that is not here any more is used to open another one at the position', async () => {
    const { next, heard } = play({ token: tokens() })
    const stream = (await next()).stream(open(), event(4), control('expiring', { at: 'soon' }))
    ;(await next()).answer(404, problem('stream_unknown'))
    await pass(1500)
    const again = await next()
    expect([stream.isCancelled, again.query.get('lastEventId'), again.headers.authorization]).toEqual([
      true,
      'e-4',
      'Bearer token-2',
    ])
    again.stream(open('resumed', 'e-4'), event(5))
    await settled()
    expect(heard).toEqual(['4 e-4', '5 e-5'])
  })

  test('that is refused is replaced once, and the second 401 is final', async () => {
    const { next, subscription } = play({ token: tokens() })
    ;(await next()).answer(401, problem('token_invalid'))
    const second = await next()
    expect(second.headers.authorization).toBe('Bearer token-2')
    second.answer(401, problem('token_invalid'))
    await settled()
    expect(subscription.state).toMatchObject({ state: 'failed', error: { code: 'token_invalid', status: 401 } })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('whose function fails is asked for again later', async () => {
    const token = vi.fn().mockRejectedValueOnce(new Error('the login is away')).mockResolvedValue('late')
    const { next, subscription } = play({ token })
    await settled()
    expect(subscription.state).toMatchObject({
      state: 'reconnecting',
      error: { message: expect.stringContaining('the login is away') },
    })
    await pass(1500)
    expect((await next()).headers.authorization).toBe('Bearer late')
  })

  test('in place of it, a ticket of a function is asked for with each connection', async () => {
    let count = 0
    const { next } = play({ ticket: () => `ticket-${++count}` })
    const first = await next()
    expect([first.query.get('ticket'), first.headers.authorization]).toEqual(['ticket-1', undefined])
    const stream = first.stream(open(), control('expiring', { at: 'soon' }))
    await settled()
    expect(stream.isCancelled).toBe(true)
    await pass(1500)
    expect((await next()).query.get('ticket')).toBe('ticket-2')
  })
})

describe('the end', () => {
  test.each([400, 401, 403, 404, 410, 413])(
    'of a request that is refused with %i is final, with the code of the hub',
    async (status) => {
      const { next, states, subscription } = play({ token: 'fixed' })
      ;(await next()).answer(status, problem('forbidden'))
      await settled()
      expect(states).toEqual(['failed'])
      expect(subscription.state).toMatchObject({ error: { code: 'forbidden', status, message: 'it is forbidden' } })
    },
  )

  test('by a refusal is thrown by the iteration, and otherwise shown on the console', async () => {
    const shown = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => shown.mockRestore())
    const { client, next } = clientOf()
    const iterating = (async () => {
      for await (const _ of client.subscribe('a'));
    })()
    ;(await next()).answer(403, problem('forbidden'))
    await expect(iterating).rejects.toMatchObject({ name: 'TidingsError', code: 'forbidden' })
    expect(shown).not.toHaveBeenCalled()
    client.subscribe('a', { onEvent: () => {} })
    ;(await next()).answer(403, problem('forbidden'))
    await settled()
    expect(shown).toHaveBeenCalledTimes(1)
  })

  test('comes with hub.closed of the last topic, with its outcome', async () => {
    const closed: unknown[] = []
    const { client, asked, next } = clientOf()
    const subscription = client.subscribe(['a', 'b'], { onClosed: (one) => closed.push(one) })
    const seen: string[] = []
    const iterating = (async () => {
      for await (const { data } of subscription) seen.push(data)
    })()
    const stream = (await next()).stream(open(), event(1), control('closed', { topic: 'a' }, 'id: e-1\n'))
    await settled()
    expect(subscription.state).toEqual({ state: 'live' })
    await stream.send(
      event(2, '2', { topic: 'b' }),
      control('closed', { topic: 'b', outcome: 'failed', detail: { at: 3 } }, 'id: e-2\n'),
    )
    await iterating
    expect(seen).toEqual(['1', '2'])
    expect(closed).toEqual([
      { topic: 'a', outcome: 'done' },
      { topic: 'b', outcome: 'failed', detail: { at: 3 } },
    ])
    await pass(600_000)
    expect([subscription.state, asked]).toEqual([{ state: 'closed' }, []])
  })

  test('comes with 204, and nobody knows the outcome', async () => {
    const closed: unknown[] = []
    const { next, states } = play({}, { lastEventId: 'e-9', onClosed: (one) => closed.push(one) })
    ;(await next()).answer(204)
    await settled()
    expect([states, closed]).toEqual([['closed'], [{ topic: 'a', outcome: undefined }]])
  })
})

describe('a gap', () => {
  const lost = control('gap', { reason: 'trimmed', from: 'e-1', to: 'e-4', exact: true }, 'id: e-4\n')

  test('is given to onGap, before the events behind it', async () => {
    const heard: unknown[] = []
    const { next } = play(
      {},
      { onGap: ({ reason, to }) => heard.push([reason, to]), onEvent: ({ data }) => heard.push(data) },
    )
    ;(await next()).stream(open('gap'), lost, event(5))
    await settled()
    expect(heard).toEqual([['trimmed', 'e-4'], '5'])
  })

  test('is asked for again if the connection is cut between hub.open and hub.gap', async () => {
    const reasons: string[] = []
    const { next } = play({}, { lastEventId: 'e-1', onGap: ({ reason }) => reasons.push(reason) })
    const stream = (await next()).stream(open('gap', 'e-4'))
    await settled()
    await stream.cut()
    await pass(1500)
    const again = await next()
    expect(again.query.get('lastEventId')).toBe('e-1')
    again.stream(open('gap', 'e-4'), lost)
    await settled()
    expect(reasons).toEqual(['trimmed'])
  })

  test('without onGap is thrown by the iteration, after the events before it', async () => {
    const { client, next } = clientOf()
    const seen: string[] = []
    const iterating = (async () => {
      for await (const { data } of client.subscribe('a')) seen.push(data)
    })()
    ;(await next()).stream(open(), event(1), lost, event(5))
    await expect(iterating).rejects.toMatchObject({ code: 'gap', gap: { reason: 'trimmed' } })
    expect(seen).toEqual(['1'])
  })

  test('without onGap is shown on the console once, and the events go on', async () => {
    const shown = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => shown.mockRestore())
    const { next, heard } = play()
    ;(await next()).stream(open('gap'), lost, event(5), lost, event(6))
    await settled()
    expect(heard).toEqual(['5 e-5', '6 e-6'])
    expect(shown.mock.calls).toEqual([[expect.objectContaining({ code: 'gap' })]])
  })
})

describe('other topics', () => {
  test('are read on the live stream', async () => {
    const { next, subscription } = play()
    const stream = (await next()).stream(open())
    await settled()
    const changing = subscription.change(['a', 'b/*'])
    const { method, path, body, answer } = await next()
    expect([method, path, body]).toEqual(['POST', `/live/streams/${'ab'.repeat(16)}`, '{"topics":["a","b/*"]}'])
    answer(200, {})
    await changing
    expect([stream.isCancelled, subscription.topics]).toEqual([false, ['a', 'b/*']])
  })

  test('are asked for at the position if the stream is not here any more', async () => {
    const { next, subscription } = play()
    ;(await next()).stream(open(), event(3))
    await settled()
    const changing = subscription.change('b')
    ;(await next()).answer(404, problem('stream_unknown'))
    await changing
    expect(`${(await next()).query}`).toBe('topic=b&lastEventId=e-3&envelope=true')
  })

  test('that are refused change nothing', async () => {
    const { next, asked, subscription } = play()
    ;(await next()).stream(open())
    await settled()
    const changing = subscription.change('secret')
    const refused = expect(changing).rejects.toMatchObject({ code: 'forbidden' })
    ;(await next()).answer(403, problem('forbidden'))
    await refused
    expect([subscription.topics, subscription.state, asked]).toEqual([['a'], { state: 'live' }, []])
  })
})

describe('publish', () => {
  test('sends a message with a key of its own for each call', async () => {
    const { client, next } = clientOf({ token: 'fixed' })
    const keys: string[] = []
    for (const data of ['x', { n: 1 }]) {
      const publishing = client.publish({ topic: 'a', data, event: 'said' })
      const { method, path, headers, body, answer } = await next()
      expect([method, path]).toEqual(['POST', '/live/send'])
      expect(headers).toEqual({ authorization: 'Bearer fixed', 'content-type': 'application/json' })
      const { key, ...message } = JSON.parse(body)
      expect(message).toEqual({ topic: 'a', data, event: 'said' })
      keys.push(key)
      answer(200, { id: 'e-1' })
      expect(await publishing).toEqual({ id: 'e-1' })
    }
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{32}$/)
    expect(keys[0]).not.toBe(keys[1])
  })

  test('repeats the same request after a network error, 429 and 5xx, not before Retry-After', async () => {
    const { client, next, asked } = clientOf()
    const publishing = client.publish({ topic: 'a', data: 1 })
    const first = await next()
    first.refuse()
    await pass(250)
    const second = await next()
    second.answer(503, problem('overloaded'), { 'retry-after': '2' })
    await pass(2249)
    expect(asked).toEqual([])
    await pass(1)
    const third = await next()
    third.answer(429, problem('rate_limited'), { 'retry-after': '1' })
    await pass(2250)
    const fourth = await next()
    for (const { body } of [second, third, fourth]) expect(body).toBe(first.body)
    fourth.answer(200, { id: 'e-1', duplicate: true })
    expect(await publishing).toEqual({ id: 'e-1', duplicate: true })
  })

  test('gives each message of a list the key of the call and its number', async () => {
    const { client, next } = clientOf()
    const publishing = client.publish(
      [
        { topic: 'a', data: 1 },
        { topic: 'b', data: 2, key: 'own' },
      ],
      { key: 'k' },
    )
    const { body, answer } = await next()
    expect(JSON.parse(body)).toEqual([
      { topic: 'a', data: 1, key: 'k/0' },
      { topic: 'b', data: 2, key: 'own' },
    ])
    answer(200, { ids: ['e-1', 'e-2'] })
    expect(await publishing).toEqual({ ids: ['e-1', 'e-2'] })
  })

  test('gives up after its time, and says that the outcome is unknown and with which key to ask again', async () => {
    const { client, next } = clientOf()
    const publishing = client.publish({ topic: 'a', data: 1 }, { timeoutMs: 1000, key: 'k' })
    const failed = expect(publishing).rejects.toMatchObject({ code: 'unreachable', outcome: 'unknown', key: 'k' })
    for (const ms of [250, 500]) {
      ;(await next()).refuse()
      await pass(ms)
    }
    ;(await next()).refuse()
    await failed
  })

  test('throws a refusal at once', async () => {
    const { client, next, asked } = clientOf()
    const publishing = client.publish({ topic: 'a', data: 1 })
    ;(await next()).answer(409, problem('topic_closed'))
    await expect(publishing).rejects.toMatchObject({ code: 'topic_closed', status: 409, outcome: 'refused' })
    await pass(60_000)
    expect(asked).toEqual([])
  })

  test('ends with the reason of its signal', async () => {
    const { client, next } = clientOf()
    const aborting = new AbortController()
    const publishing = client.publish({ topic: 'a', data: 1 }, { signal: aborting.signal })
    await next()
    aborting.abort(new Error('left'))
    await expect(publishing).rejects.toThrow('left')
  })

  test.each(['between two requests', 'while a refusal is read'])(
    'ends at once with the reason of its signal, also %s',
    async (when) => {
      const { client, next } = clientOf()
      const aborting = new AbortController()
      const failed = vi.fn()
      client.publish({ topic: 'a', data: 1 }, { signal: aborting.signal }).catch(failed)
      ;(await next()).answer(503, problem('overloaded'), { 'retry-after': '9' })
      if (when === 'between two requests') await settled()
      aborting.abort(new Error('left'))
      await settled()
      expect(failed.mock.calls).toEqual([[new Error('left')]])
      expect(vi.getTimerCount()).toBe(0)
    },
  )
})

describe('a schema', () => {
  const number = schema((value) => (typeof value === 'number' ? value : undefined))
  const text = schema((value) => (typeof value === 'string' ? value.toUpperCase() : undefined))

  test('checks the data of every event, and returns what the program gets', async () => {
    const seen: (number | string | undefined)[] = []
    const { client, next } = clientOf()
    client.subscribe('a', {
      schema: number,
      onEvent: ({ data }) => seen.push(data * 2),
      onInvalid: ({ data }, issues) => seen.push(data, issues[0]!.message),
    })
    ;(await next()).stream(open(), event(1, '21'), event(2, 'x'), event(3, '4'))
    await settled()
    expect(seen).toEqual([42, 'x', 'invalid', 8])
  })

  test('of an event name or of a topic is found by it, and others are left out', async () => {
    const { client, next } = clientOf()
    const seen: unknown[] = []
    client.subscribe('**', {
      schema: { events: { count: number, said: text } },
      onEvent: (event) => seen.push(event.event === 'count' ? event.data + 1 : event.data.length),
    })
    ;(await next()).stream(
      open(),
      ...[event(1, '1', { event: 'count' }), event(2, 'abc', { event: 'said' }), event(3, 'x', { event: 'toString' })],
    )
    client.subscribe('**', { schema: { topics: { 'a/*': number, b: text } }, onEvent: ({ data }) => seen.push(data) })
    ;(await next()).stream(
      open(),
      ...[event(1, '7', { topic: 'a/1' }), event(2, 'abc', { topic: 'b' }), event(3, 'x', { topic: 'c' })],
    )
    await settled()
    expect(seen).toEqual([2, 3, 7, 'ABC'])
  })

  test('that does not accept the data is loud without onInvalid', async () => {
    const { client, next } = clientOf()
    const iterating = (async () => {
      for await (const _ of client.subscribe('a', { schema: number }));
    })()
    ;(await next()).stream(open(), event(1, 'x'))
    await expect(iterating).rejects.toMatchObject({ code: 'data_invalid' } satisfies Partial<TidingsError>)
  })

  test.each([
    ['throws', broken],
    ['rejects', (value: unknown) => Promise.resolve(value).then(broken)],
  ])('that %s does not accept the data, and the stream goes on', async (_, validate) => {
    const { client, next, asked } = clientOf()
    const seen: unknown[] = []
    const subscription = client.subscribe('a', {
      schema: { '~standard': { version: 1, vendor: 'test', validate } },
      onEvent: ({ data }) => seen.push(data),
      onInvalid: ({ id }, [issue]) => seen.push([id, issue?.message]),
    })
    ;(await next()).stream(open(), event(1, '1'), event(2, 'x'), event(3, '3'))
    await settled()
    expect(seen).toEqual([1, ['e-2', 'TypeError: it is broken'], 3])
    expect([subscription.state, subscription.position, asked]).toEqual([{ state: 'live' }, 'e-3', []])
  })

  test('that throws is loud without onInvalid', async () => {
    const { client, next } = clientOf()
    const iterating = (async () => {
      const schema = { '~standard': { version: 1 as const, vendor: 'test', validate: broken } }
      for await (const _ of client.subscribe('a', { schema }));
    })()
    ;(await next()).stream(open(), event(1, 'x'))
    await expect(iterating).rejects.toMatchObject({ code: 'data_invalid', message: expect.stringContaining('broken') })
  })

  function broken(value: unknown) {
    if (typeof value !== 'number') throw new TypeError('it is broken')
    return { value }
  }

  function schema<Output>(validate: (value: unknown) => Output | undefined) {
    return {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: (value: unknown) => {
          const output = validate(value)
          return output === undefined ? { issues: [{ message: 'invalid' }] } : { value: output }
        },
        types: undefined as { readonly input: unknown; readonly output: Output } | undefined,
      },
    }
  }
})
