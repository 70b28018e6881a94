import { env, runInDurableObject } from 'cloudflare:test'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { type Fetcher, forward } from '../../src/adapters/forward.ts'
import worker, { TidingsHub } from '../../src/adapters/worker.ts'
import { counted } from '../costs/counted.ts'

/** This file runs inside workerd: the errors are those of real objects, except where a test says otherwise. */
const logged: string[] = []
beforeEach(() => {
  logged.length = 0
  vi.spyOn(console, 'error').mockImplementation((line: string) => void logged.push(line))
})

const STREAM = { accept: 'text/event-stream' }
const JSON_ACCEPTED = { accept: 'application/json' }
const ENDING = /^event: hub\.ending\ndata: \{\}\nretry: [3-6]\d{3}\n\n$/
const BARE = /^retry: [3-6]\d{3}\n$/

/** Sends a request to an object whose constructor throws. */
const askBroken = (path: string, init: RequestInit = {}, origins: readonly string[] = []) =>
  forward(
    new Request(`http://localhost${path}`, init),
    () => env.BROKEN.get(env.BROKEN.newUniqueId()) as unknown as Fetcher,
    origins,
  )
const ask = (path: string, init: RequestInit = {}, more: Record<string, string> = {}) =>
  worker.fetch(new Request(`http://localhost${path}`, init), { ...env, ...more } as unknown as Parameters<
    typeof worker.fetch
  >[1])
const codeOf = async (response: Response) => [response.status, ((await response.json()) as { code: string }).code]

describe('an object that fails', () => {
  test('gives an EventSource of topics a hub.ending with a time to come back, and that of the demo a bare one', async () => {
    for (const [path, ending] of [
      ['/event?topic=a', ENDING],
      ['/event', BARE],
    ] as const) {
      const response = await askBroken(path, { headers: STREAM })
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
      expect(response.headers.get('cache-control')).toBe('no-store, no-transform')
      expect(await response.text()).toMatch(ending)
    }
  })

  test('tells readers different times', async () => {
    const times = new Set<string>()
    for (let i = 0; i < 10; i++) times.add(await (await askBroken('/event', { headers: STREAM })).text())
    expect(times.size).toBeGreaterThan(5)
  })

  test.each(['/health', '/ready', '/topics', '/', '/event?topic=a&control=false'])(
    'answers GET %s with 503 and a time to try again',
    async (path) => {
      const response = await askBroken(path, { headers: path.startsWith('/event') ? STREAM : {} })
      expect(response.headers.get('content-type')).toBe('application/problem+json')
      expect(response.headers.get('retry-after')).toBe('5')
      expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'")
      expect(await codeOf(response)).toEqual([503, 'log_unavailable'])
    },
  )

  test('answers a poll, and a subscription whose body may ask for no control events, with 503', async () => {
    expect(await codeOf(await askBroken('/event?topic=a', { headers: JSON_ACCEPTED }))).toEqual([
      503,
      'log_unavailable',
    ])
    const form = { method: 'POST', body: new URLSearchParams({ topic: 'a', control: 'false' }), headers: STREAM }
    expect(await codeOf(await askBroken('/event', form))).toEqual([503, 'log_unavailable'])
  })

  test('leaves the outcome of a publish unknown, also that of a GET of the demo', async () => {
    for (const [path, method] of [
      ['/send?topic=a', 'POST'],
      ['/send?message=a', 'GET'],
      ['/topics/a', 'DELETE'],
      ['/revoke', 'POST'],
    ] as const)
      expect(await codeOf(await askBroken(path, { method }))).toEqual([503, 'outcome_unknown'])
  })

  test('says nothing of its error', async () => {
    const response = await askBroken('/ready')
    expect(await response.text()).not.toContain('constructor')
  })

  test('lets pages of CORS_ORIGINS read the answer, which would end their EventSource otherwise', async () => {
    const allowed = 'https://app.example'
    const of = async (origin: string) => {
      const { headers } = await askBroken('/event', { headers: { ...STREAM, origin } }, [allowed])
      return [headers.get('access-control-allow-origin'), headers.get('access-control-allow-credentials')]
    }
    expect(await of(allowed)).toEqual([allowed, 'true'])
    expect(await of('https://other.example')).toEqual([null, null])
  })
})

describe('an object that is aborted', () => {
  const hub = (name: string) => env.HUBS.get(env.HUBS.idFromName(name))
  const abort = (name: string) =>
    runInDurableObject(hub(name), (_: TidingsHub, state: { abort(why: string): void }) => state.abort('aborted')).catch(
      () => {},
    )
  /** Aborts an object while a request waits in it. */
  const whileAsking = async (HUB: string, path: string, init: RequestInit) => {
    await ask('/health', {}, { HUB })
    const asked = ask(path, init, { HUB })
    await new Promise((resolve) => setTimeout(resolve, 50))
    await abort(HUB)
    return asked
  }

  test('answers a waiting poll with 503, and the next request goes to a new instance', async () => {
    const response = await whileAsking('aborted', '/event?topic=a&wait=20', { headers: JSON_ACCEPTED })
    expect(await codeOf(response)).toEqual([503, 'log_unavailable'])
    expect((await ask('/health', {}, { HUB: 'aborted' })).status).toBe(200)
  })

  test('leaves the outcome of a publish unknown whose body was on its way', async () => {
    const { readable, writable } = new TransformStream()
    void writable.getWriter().write(new TextEncoder().encode('x'))
    const response = await whileAsking('aborted-while-publishing', '/send?topic=a', {
      method: 'POST',
      body: readable,
      headers: { 'content-type': 'text/plain' },
    })
    expect(await codeOf(response)).toEqual([503, 'outcome_unknown'])
  })

  test('of 200 streams that open at that moment, none gets an answer that ends an EventSource', async () => {
    const HUB = 'aborted-while-opening'
    await ask('/health', {}, { HUB })
    const opening = Array.from({ length: 200 }, () => ask('/event?topic=a', { headers: STREAM }, { HUB }))
    const aborting = abort(HUB)
    const answers = await Promise.all(opening)
    await aborting
    const kinds = new Set(answers.map(({ status, headers }) => `${status} ${headers.get('content-type')}`))
    expect([...kinds]).toEqual(['200 text/event-stream; charset=utf-8'])
    await Promise.all(answers.map(({ body }) => body?.cancel().catch(() => {})))
  })
})

/** The platform marks some errors; workerd alone never does, so these are made here. */
describe('an error that the platform marks', () => {
  const failing = (marks: object, failures: number) => {
    const stubs: Fetcher[] = []
    const connect = () => {
      const stub = {
        async fetch() {
          if (stubs.length <= failures) throw Object.assign(new Error('Network connection lost.'), marks)
          return new Response('here')
        },
      }
      stubs.push(stub)
      return stub
    }
    return { stubs, connect }
  }
  const answerOf = async (path: string, init: RequestInit, marks: object, failures = 1) => {
    const { stubs, connect } = failing(marks, failures)
    const response = await forward(new Request(`http://localhost${path}`, init), connect, [])
    return [stubs.length, response.status]
  }

  test('is the only reason for a second request: one request to the Worker is one to the object', async () => {
    for (const [path, method] of [
      ['/event?topic=a', 'GET'],
      ['/send?topic=a', 'POST'],
    ] as const)
      expect(await answerOf(path, { method }, {}, -1)).toEqual([counted.objectRequests, 200])
  })

  test('as retryable is tried once more, on a fresh stub, for a GET that changes nothing', async () => {
    for (const path of ['/event?topic=a', '/topics', '/'])
      expect(await answerOf(path, {}, { retryable: true })).toEqual([2, 200])
    expect(await answerOf('/', { method: 'HEAD' }, { retryable: true })).toEqual([2, 200])
    expect(await answerOf('/topics', {}, { retryable: true }, 2)).toEqual([2, 503])
  })

  test('as retryable is not tried again for what changes something or can be used once', async () => {
    for (const [path, method] of [
      ['/send?topic=a', 'POST'],
      ['/send?message=a', 'GET'],
      ['/topics/a', 'DELETE'],
      ['/event?topic=a&ticket=x', 'GET'],
    ] as const)
      expect(await answerOf(path, { method }, { retryable: true })).toEqual([1, 503])
  })

  test('as overloaded is not tried again, and no error without a mark is', async () => {
    expect(await answerOf('/topics', {}, { retryable: true, overloaded: true })).toEqual([1, 503])
    expect(await answerOf('/topics', {}, {})).toEqual([1, 503])
    const { connect } = failing({ overloaded: true }, 1)
    const response = await forward(new Request('http://localhost/topics'), connect, [])
    expect(await codeOf(response)).toEqual([503, 'overloaded'])
  })
})

describe('a wrong setting', () => {
  test('answers an EventSource with a time to come back, all others with 503, and is logged once', async () => {
    const bindings = { ...env, MAX_READERS: 'many', CORS_ORIGINS: 'https://app.example' }
    const askWrong = (path: string, init: RequestInit = {}) =>
      worker.fetch(
        new Request(`https://hub.example${path}`, init),
        bindings as unknown as Parameters<typeof worker.fetch>[1],
      )
    const stream = await askWrong('/event', { headers: { ...STREAM, origin: 'https://app.example' } })
    expect([stream.status, stream.headers.get('access-control-allow-origin')]).toEqual([200, 'https://app.example'])
    expect(await stream.text()).toMatch(BARE)
    for (const [path, method] of [
      ['/health', 'GET'],
      ['/send?topic=a', 'POST'],
    ] as const) {
      const response = await askWrong(path, { method })
      expect(response.headers.get('retry-after')).toBe('5')
      const text = await response.text()
      expect(JSON.parse(text)).toMatchObject({ status: 503, code: 'config_invalid' })
      expect(text).not.toContain('many')
    }
    expect(logged).toEqual([expect.stringContaining('MAX_READERS=\\"many\\": expected a whole number')])
  })

  test.each([
    ['/live/event?topic=a', { BASE_PATH: '/live' }],
    ['/live/event?topic=a', { BASE_PATH: 'live' }],
    ['/acme/event?topic=a', { HUB_FROM: 'path' }],
  ])('answers an EventSource of %s with a time to come back, with %o', async (path, settings) => {
    const response = await ask(path, { headers: STREAM }, { ...settings, MAX_READERS: 'many' })
    expect([response.status, await response.text()]).toEqual([200, expect.stringMatching(ENDING)])
  })

  test.each(['', 'none', '*'])(
    'CORS_ORIGINS=%s lets no page of another origin embed the answer',
    async (CORS_ORIGINS) => {
      const { headers } = await ask('/health', {}, { MAX_READERS: 'many', CORS_ORIGINS })
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
    },
  )

  test('lets pages of the other origins read the answer although one of CORS_ORIGINS is wrong', async () => {
    const headers = { ...STREAM, origin: 'https://app.example' }
    const response = await ask('/event?topic=a', { headers }, { CORS_ORIGINS: 'https://app.example, *' })
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([200, 'https://app.example'])
  })

  test('of a key that cannot be used answers an EventSource the same way', async () => {
    const answer = await runInDurableObject(env.HUBS.get(env.HUBS.newUniqueId()), async (_: TidingsHub, state) => {
      const settings = { ...env, AUTH_PUBLIC_KEY: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----' }
      const hub = new TidingsHub(state as never, settings as never)
      const headers = { ...STREAM, authorization: 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x' }
      const response = await hub.fetch(new Request('http://localhost/event?topic=a', { headers }))
      return [response.status, await response.text()]
    })
    expect(answer).toEqual([200, expect.stringMatching(ENDING)])
    expect(logged).toEqual([expect.stringContaining('Cannot use the keys')])
  })
})

test('a database that cannot be opened, because it is full, answers an EventSource with a time to come back', async () => {
  const full = () => {
    throw new Error('database or disk is full: SQLITE_FULL')
  }
  const answers = await runInDurableObject(
    env.HUBS.get(env.HUBS.newUniqueId()),
    async (_: TidingsHub, state: { readonly storage: { readonly sql: object } }) => {
      Object.defineProperty(state.storage.sql, 'exec', { value: full })
      const hub = new TidingsHub(state as never, env as never)
      const ask = async (path: string, init?: RequestInit) => {
        const response = await hub.fetch(new Request(`http://localhost${path}`, init))
        return [response.status, await response.text()]
      }
      const headers = { 'content-type': 'text/plain' }
      return Promise.all([
        ask('/event?topic=a', { headers: STREAM }),
        ask('/ready'),
        ask('/send?topic=a', { method: 'POST', body: 'x', headers }),
      ])
    },
  )
  expect(answers).toEqual([
    [200, expect.stringMatching(ENDING)],
    [503, expect.stringContaining('"log_unusable"')],
    [503, expect.stringContaining('"log_unusable"')],
  ])
  expect(logged).toContainEqual(expect.stringContaining('SQLITE_FULL'))
})

test('a database that becomes full answers a publish with 503 and delivers nothing of it, and goes on when there is room', async () => {
  const answers = await runInDurableObject(
    env.HUBS.get(env.HUBS.newUniqueId()),
    async (_: TidingsHub, state: { readonly storage: { readonly sql: { exec(...given: unknown[]): unknown } } }) => {
      const hub = new TidingsHub(state as never, env as never)
      const ask = async (path: string, init?: RequestInit) => {
        const response = await hub.fetch(new Request(`http://localhost${path}`, init))
        return [response.status, await response.text()]
      }
      const publish = (body: string) =>
        ask('/send?topic=a', { method: 'POST', body, headers: { 'content-type': 'text/plain' } })
      const { sql } = state.storage
      const exec = sql.exec.bind(sql)
      const first = await publish('before')
      Object.defineProperty(sql, 'exec', {
        configurable: true,
        value: (text: string, ...given: unknown[]) => {
          if (/^\s*(insert|update|replace)/i.test(text)) throw new Error('database or disk is full: SQLITE_FULL')
          return exec(text, ...given)
        },
      })
      const refused = await publish('while full')
      const ready = await ask('/ready')
      Object.defineProperty(sql, 'exec', { configurable: true, value: exec })
      const last = await publish('after')
      return [first, refused, ready, last, await ask('/event?topic=a&from=earliest', { headers: JSON_ACCEPTED })]
    },
  )
  expect(answers).toEqual([
    [200, expect.anything()],
    [503, expect.stringContaining('"outcome_unknown"')],
    [503, expect.stringContaining('"log_unusable"')],
    [200, expect.anything()],
    [200, expect.not.stringContaining('while full')],
  ])
})

test('readers are told different times to come back in, from RETRY to twice as long', async () => {
  const times = new Set<number>()
  for (let i = 0; i < 10; i++) {
    const reader = (await ask('/event', { headers: STREAM }, { HUB: 'spread' })).body!.getReader()
    const { value } = await reader.read()
    times.add(Number(/^:\nretry: (\d+)\n/.exec(new TextDecoder().decode(value))![1]))
    await reader.cancel()
  }
  expect(times.size).toBeGreaterThan(5)
  for (const time of times) {
    expect(time).toBeGreaterThanOrEqual(3000)
    expect(time).toBeLessThanOrEqual(6000)
  }
})
