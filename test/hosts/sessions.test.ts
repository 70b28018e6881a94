import { isDeepStrictEqual as equal } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { sha256 } from '../../src/auth/credentials.ts'
import { appSettings, type Setting, settings } from '../../src/config/settings.ts'
import {
  type AppOptions,
  type Config,
  createApp,
  Hub,
  memoryLog,
  parseConfig,
  type SessionGrant,
} from '../../src/index.ts'

const HOST = 'https://app.example'
let hub: Hub

beforeEach(() => {
  hub = new Hub(memoryLog)
})
afterEach(() => hub.close())

/** An app of a host under a public name. */
const host = (options: Omit<AppOptions, 'hub'> = {}) => {
  const app = createApp({ hub, ...options })
  return async (path: string, init?: RequestInit) => await app.request(`${HOST}${path}`, init)
}
const codeOf = async (response: Response) => [response.status, ((await response.json()) as { code?: string }).code]
const post = (topic: string, headers: Record<string, string> = {}) =>
  [
    `/send?topic=${topic}`,
    { method: 'POST', headers: { 'content-type': 'text/plain', ...headers }, body: 'x' },
  ] as const

describe('an app on a public name', () => {
  test('is refused to everybody until its host says whom it serves, and the refusal says how', async () => {
    const answer = await host()('/topics/a')
    expect(answer.status).toBe(403)
    const { code, detail } = (await answer.json()) as Record<string, string>
    expect(code).toBe('host_forbidden')
    for (const way of ['createApp({ hub, grantOf })', 'createApp({ hub, open: true })']) expect(detail).toContain(way)
  })

  test('with `open` serves everybody', async () => {
    const fetch = host({ open: true, settings: { publishRate: 'none', maxReadersPerAddress: 'none' } })
    expect((await fetch(...post('a'))).status).toBe(200)
    expect((await (await fetch('/ready')).json()) as object).toMatchObject({ readers: 0 })
  })
})

describe('grantOf', () => {
  const sessions: Record<string, SessionGrant> = {
    ann: { subject: 'ann', publish: ['chat/*'], subscribe: ['chat/**', 'users/ann'] },
    reader: { subscribe: ['news'] },
  }
  const grantOf: AppOptions['grantOf'] = async (c) => sessions[c.req.header('x-user') ?? '']
  const as = (user: string) => ({ 'x-user': user })

  test('decides what each request may do, now or later', async () => {
    const fetch = host({ grantOf })
    expect((await fetch(...post('chat/1', as('ann')))).status).toBe(200)
    expect(await codeOf(await fetch(...post('news', as('ann'))))).toEqual([403, 'forbidden'])
    expect(await codeOf(await fetch('/event?topic=users/bob', { headers: as('ann') }))).toEqual([403, 'forbidden'])
    expect(await codeOf(await fetch(...post('news', as('reader'))))).toEqual([403, 'forbidden'])
    const topics = await (await fetch('/topics', { headers: as('reader') })).json()
    expect(topics).toEqual({ topics: [] })
    const stream = await fetch('/event?topic=chat/*', { headers: as('ann') })
    expect(stream.status).toBe(200)
    await stream.body!.cancel()
    const sync = host({ grantOf: () => ({ subscribe: ['**'] }) })
    expect((await sync('/topics/a')).status).toBe(200)
  })

  test('that returns nothing leaves a client with what anonymous clients may do', async () => {
    const closed = host({ grantOf })
    expect(await codeOf(await closed('/topics/chat/1'))).toEqual([401, 'token_missing'])
    expect((await (await closed('/ready')).json()) as object).not.toHaveProperty('readers')
    const fetch = host({ grantOf, settings: { anonymousSubscribe: ['public/*'] } })
    expect((await fetch('/topics/public/1')).status).toBe(200)
    expect(await codeOf(await fetch('/topics/chat/1'))).toEqual([401, 'token_missing'])
    // A host may have other uses for this header.
    expect((await fetch('/topics/public/1', { headers: { authorization: 'Bearer of-the-host' } })).status).toBe(200)
  })

  test('goes before keys, which still let scripts in', async () => {
    const key = 'a-long-random-key-of-a-script'
    const apiKeys = [{ name: 'script', sha256: await sha256(key), publish: ['news'], subscribe: [] }]
    const fetch = host({ grantOf, settings: { apiKeys } })
    const bearer = { authorization: `Bearer ${key}` }
    expect((await fetch(...post('news', bearer))).status).toBe(200)
    expect(await codeOf(await fetch(...post('news', { ...bearer, ...as('ann') })))).toEqual([403, 'forbidden'])
    expect(await codeOf(await fetch(...post('news', { authorization: 'Bearer wrong' })))).toEqual([
      401,
      'token_invalid',
    ])
  })

  test('goes before keys, and an app, which has no name, refuses a key that names its hub', async () => {
    const key = 'a-long-random-key-of-a-script'
    const apiKey = { name: 'script', sha256: await sha256(key), publish: ['news'], subscribe: [] }
    const statusWith = async (hub: { hub?: string }) => {
      const fetch = host({ grantOf, settings: { apiKeys: [{ ...apiKey, ...hub }] } })
      return (await fetch(...post('news', { authorization: `Bearer ${key}` }))).status
    }
    expect([await statusWith({}), await statusWith({ hub: 'acme' })]).toEqual([200, 401])
  })

  test('gives streams of its sessions an owner, a limit and an end', async () => {
    let grant: SessionGrant = { subject: 'ann', subscribe: ['a', 'b'] }
    const fetch = host({ grantOf: () => grant, settings: { maxReadersPerToken: 1 } })
    const stream = await fetch('/event?topic=a')
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
    const { value } = await reader.read()
    const name = /"stream":"([^"]+)"/.exec(value!)![1]
    expect(await codeOf(await fetch('/event?topic=a'))).toEqual([429, 'too_many_readers'])
    const renew = () =>
      fetch(`/streams/${name}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"topics":["b"]}',
      })
    grant = { ...grant, subject: 'bob' }
    expect(await codeOf(await renew())).toEqual([404, 'stream_unknown'])
    grant = { ...grant, subject: 'ann', expiresAt: Date.now() + 50 }
    expect((await renew()).ok).toBe(true)
    while (!(await reader.read()).done); // ends with the session
    expect(await codeOf(await fetch('/topics/a'))).toEqual([401, 'token_invalid'])
  })

  test('whose grant names no topic is an error of the host, which clients do not see', async () => {
    const write = vi.spyOn(console, 'error').mockImplementation(() => {})
    const fetch = host({ grantOf: () => ({ subscribe: ['a/**/b'] }) })
    const answer = await fetch('/topics/a/x')
    expect(await codeOf(answer.clone())).toEqual([500, 'internal'])
    expect(write.mock.calls.join()).toContain('no topic or pattern')
    write.mockRestore()
  })

  test('can revoke: the streams of a subject end, and its older sessions are refused', async () => {
    const began = Date.now() - 1000
    const fetch = host({
      grantOf: (c) =>
        c.req.header('x-user') === 'admin'
          ? { publish: ['$revoked'] }
          : { subject: 'ann', subscribe: ['a'], issuedAt: began },
    })
    const stream = await fetch('/event?topic=a')
    const revoked = await fetch('/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-user': 'admin' },
      body: '{"sub":"ann"}',
    })
    expect(revoked.ok).toBe(true)
    await stream.text()
    expect(await codeOf(await fetch('/topics/a'))).toEqual([401, 'token_invalid'])
  })
})

describe('settings', () => {
  test('of an app are an object, checked by the compiler and by the rules of the environment variables', async () => {
    const fetch = host({ open: true, settings: { maxBodyBytes: '1KiB', bodyTimeout: 5000, publishRate: 'none' } })
    const sent = await fetch('/send?topic=a', {
      method: 'POST',
      body: 'x'.repeat(2000),
      headers: { 'content-type': 'text/plain' },
    })
    expect(await codeOf(sent)).toEqual([413, 'body_too_large'])
    // @ts-expect-error a time has a unit
    expect(() => host({ settings: { bodyTimeout: '5 seconds' } })).toThrow('bodyTimeout="5 seconds": expected a time')
    expect(() => host({ settings: { bodyTimeout: 5, maxBatch: 0 } })).toThrow(
      /2 settings are wrong.*bodyTimeout.*maxBatch/s,
    )
    expect(() => host({ settings: { corsOrigins: ['*'] } })).toThrow('corsOrigins')
    expect(() => host({ settings: { authSecret: '' } })).toThrow('authSecret is empty')
  })

  test('of a hub, a log or a server are refused, with where they belong', () => {
    // @ts-expect-error a setting of a hub
    expect(() => host({ settings: { heartbeat: 5000 } })).toThrow(
      'heartbeat is no setting of an app: give it to the hub',
    )
    // @ts-expect-error no setting at all
    expect(() => host({ settings: { corsOrigin: [] } })).toThrow(
      'corsOrigin is no setting of an app: expected basePath',
    )
  })

  test('of an app are those, and only those, that change something of an app', () => {
    const values = [
      '7',
      '2000',
      '70000',
      'true',
      'false',
      'all',
      'stream',
      'name',
      '/live',
      '127.0.0.2',
      'http://localhost/keys',
    ]
    values.push('https://a.example', 'x-id', 'a/*', 'x'.repeat(32), '{"kty":"OKP"}', `script:${'0f'.repeat(32)}:a:b`)
    const ofApp = ({
      host,
      port,
      keepAliveMs,
      log,
      carrier,
      warmUp,
      heapWatermark,
      hub,
      logOptions,
      ...rest
    }: Config) => rest
    const keys = { AUTH_SECRET: 'x'.repeat(40) }
    const isOfApp = (name: Setting) =>
      values.some((value) => {
        const base = name.startsWith('ANONYMOUS') ? keys : {}
        try {
          return !equal(ofApp(parseConfig({ ...base, [name]: value })), ofApp(parseConfig(base)))
        } catch {
          return false // no value of this setting
        }
      })
    expect((Object.keys(settings) as Setting[]).filter(isOfApp).toSorted()).toEqual([...appSettings].toSorted())
  })

  test('that contradict who is served are refused', () => {
    const grantOf = () => undefined
    expect(() => host({ open: true, grantOf })).toThrow('open: expected false beside grantOf')
    expect(() => host({ open: true, settings: { authSecret: 'x'.repeat(32) } })).toThrow('open="true": expected false')
    expect(() => host({ settings: { anonymousPublish: ['a'] } })).toThrow('anonymousPublish and anonymousSubscribe')
  })

  test('of topics are those of the hub', async () => {
    await hub.close()
    hub = new Hub(memoryLog, { maxTopics: 1, maxTopicBytes: 5 })
    const fetch = host({ open: true, settings: { publishRate: 'none', maxReadersPerAddress: 'none' } })
    expect(await codeOf(await fetch('/event?topic=a&topic=b'))).toEqual([413, 'too_many_topics'])
    expect(await codeOf(await fetch('/topics/abcdef'))).toEqual([413, 'topic_too_long'])
  })
})

describe('limits by address', () => {
  test('that cannot work, because no request has an address, are told once', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const fetch = host({ open: true, settings: { publishRate: 1 } })
    for (const _ of [1, 2, 3]) expect((await fetch(...post('a'))).status).toBe(200)
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/^Cannot limit clients by their address: .*addressOf/)]])
    warn.mockRestore()
  })

  test('count the addresses that the host tells', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const addressOf: AppOptions['addressOf'] = (c) => c.req.header('x-peer')
    const fetch = host({ open: true, addressOf, settings: { publishRate: 1 } })
    const from = async (peer: string) => (await fetch(...post('a', { 'x-peer': peer }))).status
    expect([await from('192.0.2.1'), await from('192.0.2.1'), await from('192.0.2.2')]).toEqual([200, 429, 200])
    expect(warn).not.toHaveBeenCalled()
    warn.mockRestore()
  })
})
