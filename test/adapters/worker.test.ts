import { env, evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { SignJWT } from 'jose'
import { afterEach, describe, expect, test, vi } from 'vitest'
import worker, { TidingsHub } from '../../src/adapters/worker.ts'

/** This file runs inside workerd. */
const ask = (url: string, more: Record<string, string> = {}) =>
  worker.fetch(new Request(url), { ...env, ...more } as unknown as Parameters<typeof worker.fetch>[1])

test.each(['/', '/event', '/send?message=x', '/health', '/app.js'])(
  'deployed without OPEN or keys, %s answers 503 and says why',
  async (path) => {
    const response = await ask(`https://hub.example${path}`)
    expect(response.status).toBe(503)
    expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'")
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(await response.text()).toMatch(/^This hub serves nobody: give it keys .* or set OPEN = "true"/)
  },
)

test('deployed with a key, the hub does not answer 503', async () => {
  const response = await ask('https://hub.example/event', { AUTH_SECRET: 'x'.repeat(32) })
  expect(response.status).not.toBe(503)
})

test('on localhost, the hub works without settings', async () => {
  const response = await ask('http://localhost:3000/health')
  expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }])
})

test('HUB names the hub of a deployment, and another name is another hub', async () => {
  const first = async (HUB: string) => {
    const { value } = await (await ask('http://localhost:3000/event', { HUB })).body!.getReader().read()
    return new TextDecoder().decode(value)
  }
  await (await ask('http://localhost:3000/send?message=named', { HUB: 'one' })).text()
  expect(await first('one')).toContain('"message":"named"')
  expect(await first('other')).toContain('"message":"This is a server-sent event"')
})

type Bindings = Parameters<typeof worker.fetch>[1]
type State = ConstructorParameters<typeof TidingsHub>[0] & {
  readonly storage: { getAlarm(): Promise<number | null>; deleteAlarm(): Promise<void> }
}
const stub = () => env.HUBS.get(env.HUBS.newUniqueId())
/** Runs a test in the context of an object, in which it makes hubs with these settings. */
const awake = <T>(settings: Record<string, string>, run: (make: () => TidingsHub, state: State) => Promise<T>) =>
  runInDurableObject(stub(), (_: TidingsHub, state: State) =>
    run(() => new TidingsHub(state, { ...env, ...settings } as unknown as Bindings), state),
  )

test.each([
  ['native', 0],
  ['stream', 1],
])('CARRIER=%s makes %i transforms for a stream of topics', (CARRIER, transforms) =>
  awake({ CARRIER }, async (make) => {
    let made = 0
    const { TransformStream: Original } = globalThis
    globalThis.TransformStream = class extends Original {
      constructor() {
        super()
        made++
      }
    } as typeof TransformStream
    try {
      const response = await make().fetch(new Request('http://localhost/event?topic=a'))
      await response.body!.cancel()
    } finally {
      globalThis.TransformStream = Original
    }
    expect(made).toBe(transforms)
  }),
)

test('settings are parsed once for each object of bindings, not at each request', async () => {
  const bindings = { ...env, OPEN: 'true' }
  let reads = 0
  const counted = new Proxy(bindings, {
    ownKeys(target) {
      reads++
      return Reflect.ownKeys(target)
    },
  })
  for (let i = 0; i < 5; i++) {
    const response = await worker.fetch(new Request('http://localhost/health'), counted as unknown as Bindings)
    expect(response.status).toBe(200)
  }
  expect(reads).toBe(1)
})

test('an object stores and returns the longest event that the settings allow', () =>
  awake({ MAX_EVENT_BYTES: '1900000', MAX_BODY_BYTES: '4MiB' }, async (make) => {
    const hub = make()
    const headers = { 'content-type': 'text/plain' }
    const body = 'x'.repeat(1_899_000)
    const sent = await hub.fetch(new Request('http://localhost/send?topic=a', { method: 'POST', body, headers }))
    expect([sent.status, await sent.json()]).toEqual([200, expect.objectContaining({ durability: 'disk' })])
    const accepted = { headers: { accept: 'application/json' } }
    const polled = await hub.fetch(new Request('http://localhost/event?topic=a&from=earliest', accepted))
    expect(((await polled.json()) as { events: { data: string }[] }).events[0]?.data.length).toBe(body.length)
  }))

describe('an object without readers', () => {
  const SECRET = 'a secret of at least 32 bytes, for tokens'
  const send = async (hub: TidingsHub, data: string) =>
    (
      await hub.fetch(new Request('http://localhost/send?topic=a', { method: 'POST', body: data, headers: TEXT }))
    ).json()
  const poll = async (hub: TidingsHub, query: string) =>
    (
      (await (
        await hub.fetch(new Request(`http://localhost/event?topic=a&${query}`, { headers: JSON_ACCEPTED }))
      ).json()) as { events: { data: string }[] }
    ).events.map(({ data }) => data)
  const TEXT = { 'content-type': 'text/plain' }
  const JSON_ACCEPTED = { accept: 'application/json' }
  afterEach(() => void vi.useRealTimers())

  test.each([
    ['RETENTION_AGE', { RETENTION_AGE: '1h' }],
    ['keys and limits', { AUTH_SECRET: SECRET, AUTH_JWKS_URL: 'http://localhost:1/keys', PUBLISH_RATE: '9' }],
    ['no keys and limits', { OPEN: 'true', CLOSED_AGE: '1h' }],
  ])('with %s has no timer that keeps it awake, also after readers, polls, bodies and tickets', (_, settings) =>
    awake(settings, async (make) => {
      const token = await new SignJWT({ tidings: { publish: ['**'], subscribe: ['**'] }, sub: 'ann' })
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(SECRET))
      vi.useFakeTimers({
        toFake: ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval'],
        shouldAdvanceTime: true,
      })
      const hub = make()
      const ask = (path: string, init: RequestInit = {}) => {
        const headers = { ...init.headers, ...('AUTH_SECRET' in settings && { authorization: `Bearer ${token}` }) }
        return hub.fetch(new Request(`http://localhost${path}`, { ...init, headers }))
      }
      const client = new AbortController()
      const stream = await ask('/event?topic=a', { signal: client.signal })
      const polled = ask('/event?topic=a&wait=20', { headers: JSON_ACCEPTED })
      const items = { method: 'POST', body: '{"data":"1"}\n', headers: { 'content-type': 'application/x-ndjson' } }
      expect((await ask('/send?topic=a', items)).status).toBe(200)
      expect((await polled).status).toBe(200)
      await ask('/ticket', { method: 'POST' })
      await stream.body?.cancel()
      client.abort()
      await expect.poll(() => vi.getTimerCount()).toBe(0)
    }),
  )

  test('sets one alarm, for the time at which its oldest event is too old, and one for the next when it rings', () =>
    awake({ RETENTION_AGE: '1h' }, async (make, { storage }) => {
      const hub = make()
      expect(await storage.getAlarm()).toBeNull()
      const published = Date.now()
      for (const data of ['1', '2', '3']) await send(hub, data)
      const alarm = (await storage.getAlarm())!
      expect(alarm).toBeGreaterThanOrEqual(published + 3_600_000)
      expect(alarm).toBeLessThanOrEqual(Date.now() + 3_600_000)
      await storage.deleteAlarm() // as the platform does when an alarm rings
      await hub.alarm()
      expect(await storage.getAlarm()).toBeGreaterThanOrEqual(alarm)
      expect(await poll(hub, 'from=earliest')).toEqual(['1', '2', '3'])
    }))

  test('wakes by its alarm, also in another instance, and has trimmed what is too old', () =>
    awake({ RETENTION_AGE: '1s' }, async (make, { storage }) => {
      const hub = make()
      await send(hub, 'old')
      await new Promise((resolve) => setTimeout(resolve, 1010))
      await make().alarm()
      expect(await storage.getAlarm()).toBeNull()
      expect(await poll(make(), 'from=earliest')).toEqual([])
    }))

  test('ends a run by its alarm, also in another instance, and not before its lease and grace are over', () =>
    awake({ RETENTION_AGE: '1h' }, async (make, { storage }) => {
      const ask = async (hub: TidingsHub, path: string, method = 'GET') =>
        (await hub.fetch(new Request(`http://localhost${path}`, { method }))).json() as Promise<Record<string, unknown>>
      const hub = make()
      await send(hub, 'so that there are two alarms')
      const claimed = Date.now()
      await ask(hub, '/runs/r?lease=400ms&grace=200ms', 'POST')
      const alarm = (await storage.getAlarm())!
      expect(alarm).toBeGreaterThanOrEqual(claimed + 600)
      expect(alarm).toBeLessThanOrEqual(Date.now() + 601)
      await storage.deleteAlarm() // as the platform does when an alarm rings
      await make().alarm()
      expect(await ask(make(), '/runs/r')).not.toHaveProperty('outcome')
      expect(await storage.getAlarm()).toBeLessThanOrEqual(alarm + 400 / 3 + 10) // what is stored is a third of a lease late
      await new Promise((resolve) => setTimeout(resolve, 800))
      await make().alarm()
      expect(await ask(make(), '/runs/r')).toMatchObject({ outcome: 'abandoned' })
      expect(await storage.getAlarm()).toBeGreaterThan(Date.now() + 3_000_000)
    }))

  test('delivers nothing that became too old while it slept', () =>
    awake({ RETENTION_AGE: '1s' }, async (make) => {
      await send(make(), 'old')
      await new Promise((resolve) => setTimeout(resolve, 1010))
      expect(await poll(make(), 'from=earliest')).toEqual([])
    }))

  test('goes on after it was evicted, in the same epoch and without a gap', async () => {
    const object = stub()
    const ask = async (path: string, init: RequestInit = {}) =>
      (await object.fetch(new Request(`http://localhost${path}`, init))).json() as Promise<Record<string, unknown>>
    const publish = (body: string) => ask('/send?topic=a', { method: 'POST', body, headers: TEXT })
    const { id } = await publish('1')
    await evictDurableObject(object)
    const { id: next } = await publish('2')
    const [epoch, seq] = (id as string).split('-')
    expect(next).toBe(`${epoch}-${Number(seq) + 1}`)
    const polled = await ask(`/event?topic=a&lastEventId=${id}`, { headers: JSON_ACCEPTED })
    expect(polled).toMatchObject({ events: [{ id: next, data: '2' }] })
    expect(polled).not.toHaveProperty('gap')
  })
})
