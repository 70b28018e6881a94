import { env, runInDurableObject } from 'cloudflare:test'
import { SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import worker, { TidingsHub } from '../../src/adapters/worker.ts'
import { sha256 } from '../../src/auth/credentials.ts'

/** This file runs inside workerd: two hubs of one deployment, which share its keys. */
const AUTH_SECRET = 'a secret of at least 32 bytes, which all hubs share'
const JSON_ACCEPTED = { accept: 'application/json' }

/** A deployment with these settings. The objects of the test environment get them too; each is one instance. */
function deployed(settings: Record<string, string>) {
  const prefix = crypto.randomUUID()
  const hubs = new Map<string, TidingsHub>()
  const fetch = async (name: string, { url, method, headers, ...request }: Request & { text?: string }) => {
    const answer = await runInDurableObject(
      env.HUBS.get(env.HUBS.idFromName(`${prefix}-${name}`)),
      async (_: TidingsHub, state: { readonly storage: unknown }) => {
        if (!hubs.has(name)) hubs.set(name, new TidingsHub(named(state, name), { ...settings } as never))
        const body = request.text === undefined ? {} : { body: request.text }
        const response = await hubs.get(name)!.fetch(new Request(url, { method, headers, ...body }))
        return { status: response.status, headers: [...response.headers], text: await response.text() }
      },
    )
    return new Response([204, 308].includes(answer.status) ? null : answer.text, {
      status: answer.status,
      headers: answer.headers as [string, string][],
    })
  }
  const HUBS = {
    idFromName: (name: string) => name,
    get: (name: string) => ({
      async fetch(request: Request) {
        const { url, method, headers } = request
        return fetch(name, { url, method, headers, ...(request.body && { text: await request.text() }) } as never)
      },
    }),
  }
  return async (url: string, init: RequestInit = {}) =>
    worker.fetch(new Request(url, { redirect: 'manual', ...init }), { ...settings, HUBS } as never)
}

/** The state of an object, with another name. */
function named(state: object, name: string): never {
  const { id } = state as { id: { toString(): string } }
  Object.defineProperty(state, 'id', { value: { name, toString: () => `${id}` } })
  return state as never
}

const token = (hub: string | undefined, more: object = {}) =>
  new SignJWT({ tidings: { publish: ['**'], subscribe: ['**'], ...(hub !== undefined && { hub }) }, ...more })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(AUTH_SECRET))
const bearer = async (hub?: string) => ({ authorization: `Bearer ${await token(hub)}` })
const send = (topic: string, headers: Record<string, string>) => ({
  method: 'POST',
  body: JSON.stringify({ topic, data: `to ${topic}` }),
  headers: { ...headers, 'content-type': 'application/json' },
})
const topicsOf = async (response: Response) =>
  ((await response.json()) as { topics: { topic: string }[] }).topics.map(({ topic }) => topic)
const codeOf = async (response: Response) => [response.status, ((await response.json()) as { code?: string }).code]

/** How each way of naming a hub addresses `path` of a hub. */
const ways = {
  host: (hub: string, path: string) => `https://${hub}${path}`,
  path: (hub: string, path: string) => `https://hubs.example/${hub}${path}`,
  token: (_: string, path: string) => `https://hubs.example${path}`,
}
const names = { host: ['a.example', 'b.example'], path: ['a', 'b'], token: ['a', 'b'] } as const

describe.each(['host', 'path', 'token'] as const)('with HUB_FROM=%s, two hubs', (HUB_FROM) => {
  const [a, b] = names[HUB_FROM]
  const at = ways[HUB_FROM]

  test('have their own topics and events', async () => {
    const ask = deployed({ HUB_FROM, AUTH_SECRET })
    for (const hub of [a, b])
      expect((await ask(at(hub, '/send'), send(`of/${hub}`, await bearer(hub)))).status).toBe(200)
    for (const hub of [a, b]) {
      expect(await topicsOf(await ask(at(hub, '/topics'), { headers: await bearer(hub) }))).toEqual([`of/${hub}`])
      const headers = { ...(await bearer(hub)), ...JSON_ACCEPTED }
      const polled = await ask(at(hub, '/event?topic=**&from=earliest'), { headers })
      const { events } = (await polled.json()) as { events: { data: string }[] }
      expect(events.map(({ data }) => data)).toEqual([`to of/${hub}`])
    }
  })

  test('refuse a token that names no hub', async () => {
    const ask = deployed({ HUB_FROM, AUTH_SECRET })
    expect(await codeOf(await ask(at(a, '/topics'), { headers: await bearer() }))).toEqual([401, 'token_invalid'])
  })

  // With HUB_FROM=token, a token always reaches the hub that it names.
  const crossing = HUB_FROM === 'token' ? [] : ['refuse a token of the other, by header and by cookie']
  test.each(crossing)('%s', async () => {
    const ask = deployed({ HUB_FROM, AUTH_SECRET })
    expect(await codeOf(await ask(at(b, '/topics'), { headers: await bearer(a) }))).toEqual([401, 'token_invalid'])
    expect(await codeOf(await ask(at(b, '/send'), send('x', await bearer(a))))).toEqual([401, 'token_invalid'])
    const login = await ask(at(a, '/login'), { method: 'POST', headers: await bearer(a) })
    const cookie = login.headers.get('set-cookie')!.split(';')[0]!
    expect((await ask(at(a, '/topics'), { headers: { cookie } })).status).toBe(200)
    const renamed = cookie.replace(/^[^=]*/, HUB_FROM === 'path' ? '__Host-tidings-b' : '__Host-tidings')
    expect(await codeOf(await ask(at(b, '/topics'), { headers: { cookie: renamed } }))).toEqual([401, 'token_invalid'])
  })

  test('honour only their own tickets, and the cookies that come of them', async () => {
    const ask = deployed({ HUB_FROM, AUTH_SECRET })
    const ticketOf = async (hub: string) => {
      const made = await ask(at(hub, '/ticket'), { method: 'POST', headers: await bearer(hub) })
      return ((await made.json()) as { ticket: string }).ticket
    }
    const ticket = await ticketOf(a)
    if (HUB_FROM !== 'token') {
      const foreign = await ask(at(b, `/event?topic=x&ticket=${ticket}`), { headers: JSON_ACCEPTED })
      expect(await codeOf(foreign)).toEqual([401, 'ticket_invalid'])
    }
    const own = await ask(at(a, `/event?topic=x&ticket=${ticket}`), { headers: JSON_ACCEPTED })
    expect(own.status).toBe(200)
    const cookie = own.headers.get('set-cookie')!
    expect(cookie).toContain(HUB_FROM === 'path' ? '; Path=/a/event;' : '; Path=/event;')
    const headers = { ...JSON_ACCEPTED, cookie: cookie.split(';')[0]! }
    expect((await ask(at(a, `/event?topic=x&ticket=${ticket}`), { headers })).status).toBe(200)
    if (HUB_FROM === 'token') return
    const other = await ask(at(b, `/event?topic=x&ticket=${await ticketOf(b)}`), { headers })
    expect(other.status, 'its own ticket, beside a foreign cookie').toBe(200)
  })

  test('accept an API key that names them, and no other', async () => {
    const keys = { a: 'the-key-of-a', all: 'a-key-that-names-no-hub' }
    const API_KEYS = `one:${await sha256(keys.a)}:**:**:${a} other:${await sha256(keys.all)}:**:**`
    const ask = deployed({ HUB_FROM, API_KEYS })
    const status = async (hub: string, key: string) =>
      (await ask(at(hub, '/topics'), { headers: { authorization: `Bearer ${key}` } })).status
    expect(await status(a, keys.a)).toBe(200)
    expect(await status(a, keys.all)).toBe(401)
    if (HUB_FROM !== 'token') expect(await status(b, keys.a)).toBe(401)
  })

  test('are closed to a token of the other that names them without a valid signature', async () => {
    const ask = deployed({ HUB_FROM, AUTH_SECRET })
    const [head, , signature] = (await token(a)).split('.')
    const claims = btoa(JSON.stringify({ tidings: { subscribe: ['**'], hub: b }, exp: 4_000_000_000 })).replace(
      /=/g,
      '',
    )
    const headers = { authorization: `Bearer ${head}.${claims}.${signature}` }
    expect(await codeOf(await ask(at(b, '/topics'), { headers }))).toEqual([401, 'token_invalid'])
  })
})

test('with HUB_FROM=token, a token reaches the hub of its claim tidings.hub, whatever other claims it has', async () => {
  const ask = deployed({ HUB_FROM: 'token', AUTH_SECRET })
  const headers = { authorization: `Bearer ${await token('a', { hub: 'b' })}` }
  expect((await ask('https://hubs.example/topics', { headers })).status).toBe(200)
})

test('with HUB_FROM=path, pages and cookies are under the path of the hub, and under BASE_PATH', async () => {
  const ask = deployed({ HUB_FROM: 'path', AUTH_SECRET, BASE_PATH: '/live' })
  const redirect = await ask('https://hubs.example/live/a')
  expect([redirect.status, redirect.headers.get('location')]).toEqual([308, './a/'])
  const login = await ask('https://hubs.example/live/a/login', { method: 'POST', headers: await bearer('a') })
  expect(login.headers.get('set-cookie')).toMatch(/^__Host-tidings-a=.*; Path=\/;/)
  expect((await ask('https://hubs.example/a/health')).status, 'behind a proxy that strips BASE_PATH').toBe(200)
})

test.each(['/', '/UPPER/health', '/a%20b/health', '/..%2f/health', `/${'x'.repeat(300)}/health`])(
  'with HUB_FROM=path, %s is no hub',
  async (path) => {
    const response = await deployed({ HUB_FROM: 'path', AUTH_SECRET })(`https://hubs.example${path}`)
    expect([response.status, await response.text()]).toEqual([404, 'Page not found'])
  },
)

test.each(['https:evil.example', 'UPPER', 'a%20b'])(
  'with HUB_FROM=path, /%s is no hub, and redirects nowhere',
  async (name) => {
    const response = await deployed({ HUB_FROM: 'path', AUTH_SECRET })(`https://hubs.example/${name}`)
    expect([response.status, response.headers.get('location')]).toEqual([404, null])
  },
)

test('without HUB_FROM, a token may name the hub or none, and not another', async () => {
  const ask = deployed({ AUTH_SECRET })
  const status = async (hub?: string) =>
    (await ask('https://hub.example/topics', { headers: await bearer(hub) })).status
  expect([await status(), await status('main'), await status('other')]).toEqual([200, 200, 401])
})

test('JURISDICTION and LOCATION_HINT decide where the object is', async () => {
  const asked: unknown[] = []
  const objects = (where: string) => ({
    idFromName: (name: string) => `${where} ${name}`,
    get(id: string, options: object) {
      asked.push([id, options])
      return { fetch: async () => new Response('here') }
    },
    jurisdiction: (name: string) => objects(name),
  })
  const ask = (settings: object) =>
    worker.fetch(new Request('http://localhost/health'), { HUBS: objects('anywhere'), ...settings } as never)
  await ask({})
  await ask({ JURISDICTION: 'eu', LOCATION_HINT: 'weur' })
  expect(asked).toEqual([
    ['anywhere main', {}],
    ['eu main', { locationHint: 'weur' }],
  ])
  expect((await ask({ JURISDICTION: 'EU!' })).status).toBe(503)
})
