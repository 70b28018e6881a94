import { readdirSync } from 'node:fs'
import { Hono } from 'hono'
import { SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { readFile } from '../../src/adapters/files.ts'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { envOf } from '../../src/routes/connection.ts'
import { PAGES } from '../../src/routes/page.ts'
import { httpSuite } from './suite.ts'

const open = (settings: Record<string, string> = {}) => {
  const hub = new Hub(memoryLog)
  return { hub, app: createApp({ hub, config: parseConfig(settings), files: readFile }) }
}

const host = new Hono().route('/live', open().app)
httpSuite({
  name: 'app.request(), mounted at /live',
  mountedAt: '/live',
  cases: 'everywhere',
  fetch: async (path, init) => host.request(`/live${path}`, init),
  skip: { 'answers any other path with 404 as plain text': 'the host answers other paths' },
})

/** Ways to put an app under a path. */
const ways: readonly (readonly [string, (app: Hono) => Hono, string])[] = [
  ['route', (app) => new Hono().route('/live', app), '/live'],
  ['basePath', (app) => new Hono().basePath('/a').route('/live', app), '/a/live'],
  ['route under a parameter', (app) => new Hono().route('/t/:tenant/live', app), '/t/7/live'],
  ['mount', (app) => new Hono().mount('/live', app.fetch), '/live'],
]

describe.each(ways)('an app mounted by %s', (way, under, path) => {
  const get = (app: Hono, url: string, headers: Record<string, string> = {}) =>
    app.request(`http://localhost${url}`, { headers })

  test('refuses a cross-site GET that would set the store', async () => {
    const app = under(open().app)
    const refused = await get(app, `${path}/send?message=x`, { 'sec-fetch-site': 'cross-site' })
    expect([refused.status, await refused.json()]).toEqual([403, expect.objectContaining({ code: 'cross_site' })])
    expect((await get(app, `${path}/send?message=x`)).status).toBe(200)
  })

  test('shows and deletes the named topic, and refuses a name with a line end', async () => {
    const { hub, app } = open()
    await hub.publish([
      { topic: 'a', data: 'x' },
      { topic: 'ics/a', data: 'x' },
      { topic: 'b/c', data: 'x' },
    ])
    const mounted = under(app)
    expect(await (await get(mounted, `${path}/topics/b/c`)).json()).toMatchObject({ topic: 'b/c', kept: 1 })
    expect(await (await get(mounted, `${path}/topics/b%2Fc`)).json()).toMatchObject({ topic: 'b/c', kept: 1 })
    const deleted = await mounted.request(`http://localhost${path}/topics/a`, { method: 'DELETE' })
    expect(await deleted.json()).toMatchObject({ topic: 'a', erased: 1 })
    expect(await hub.directory.get('ics/a')).toMatchObject({ kept: 1 })
    const wrong = await get(mounted, `${path}/topics/a%0Ab`)
    expect([wrong.status, await wrong.json()]).toEqual([400, expect.objectContaining({ code: 'topic_invalid' })])
  })

  test('serves its page at the path with a slash, and the files that the page names', async () => {
    const app = under(open().app)
    const page = await get(app, `${path}/`)
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    const names = [...(await page.text()).matchAll(/(?:href|src)="([^":#]+)"/g)].map(([, name]) => name!)
    expect(names.length).toBeGreaterThan(2)
    for (const name of names) {
      const { pathname } = new URL(name, `http://localhost${path}/`)
      expect([name, (await get(app, pathname)).status]).toEqual([name, 200])
    }
    if (way === 'mount') return // Hono strips the path with and without a slash
    const without = await get(app, path)
    const to = new URL(without.headers.get('location')!, `http://localhost${path}`).pathname
    expect([without.status, to]).toEqual([308, `${path}/`])
  })

  test('names the path of the mount in its OpenAPI description', async () => {
    const { app } = open(way === 'mount' ? { BASE_PATH: path } : {})
    const description = await (await get(under(app), `${path}/openapi.json`)).json()
    expect(description).toMatchObject({ servers: [{ url: path }] })
  })

  test('limits the cookie of a ticket to the streams under the path of the mount', async () => {
    const secret = 'x'.repeat(32)
    const { app } = open({ AUTH_SECRET: secret, ...(way === 'mount' && { BASE_PATH: path }) })
    const mounted = under(app)
    const token = await new SignJWT({ tidings: { subscribe: ['a'] } })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuedAt()
      .setExpirationTime('10m')
      .sign(new TextEncoder().encode(secret))
    const asked = await mounted.request(`http://localhost${path}/ticket`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    })
    const { ticket } = (await asked.json()) as { ticket: string }
    const stream = await get(mounted, `${path}/event?topic=a&ticket=${ticket}`)
    expect(stream.headers.get('set-cookie')).toContain(`; Path=${path}/event;`)
    await stream.body!.cancel()
  })
})

test.each(['https:evil.example', '%5C%5Cevil.example', 'a%0Ab'])(
  'an app mounted under a parameter redirects /%s to its page there, and to no other site',
  async (tenant) => {
    const url = `http://localhost/t/${tenant}`
    const response = await new Hono().route('/t/:tenant', open().app).request(url)
    const to = new URL(response.headers.get('location')!, url)
    expect([response.status, to.origin, to.pathname.startsWith('/t/')]).toEqual([308, 'http://localhost', true])
  },
)

test('two hubs of one host have separate cookies by COOKIE_NAME', async () => {
  const secret = 'x'.repeat(32)
  const app = (name: string) => open({ AUTH_SECRET: secret, COOKIE_NAME: name }).app
  const two = new Hono().route('/one', app('one')).route('/two', app('two'))
  const token = await new SignJWT({ tidings: { subscribe: ['a'] } })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(secret))
  const ask = (path: string, headers: Record<string, string>, method = 'GET') =>
    two.request(`http://localhost${path}`, { method, headers })
  const login = await ask('/one/login', { authorization: `Bearer ${token}` }, 'POST')
  expect(login.headers.get('set-cookie')).toMatch(/^__Host-one=/)
  const cookie = login.headers.get('set-cookie')!.split(';')[0]!
  const statuses = ['/one/topics/a', '/two/topics/a'].map(async (path) => (await ask(path, { cookie })).status)
  expect(await Promise.all(statuses)).toEqual([200, 401])
})

describe('behind a proxy that strips a prefix', () => {
  const described = async (settings: Record<string, string>, address: string, prefix: string) => {
    const { app } = open({ AUTH_SECRET: 'x'.repeat(32), ...settings })
    const headers = { 'x-forwarded-prefix': prefix }
    const answer = await app.request('http://hub.example/openapi.json', { headers }, envOf({ address }))
    return ((await answer.json()) as { servers: { url: string }[] }).servers[0]!.url
  }

  test('X-Forwarded-Prefix counts from a trusted proxy only', async () => {
    const trusting = { TRUSTED_PROXIES: '10.0.0.0/8' }
    expect(await described(trusting, '10.1.2.3', '/hub/')).toBe('/hub')
    expect(await described(trusting, '11.1.2.3', '/hub')).toBe('/')
    expect(await described({}, '10.1.2.3', '/hub')).toBe('/')
  })

  test('a prefix that is not a plain path is ignored', async () => {
    for (const prefix of ['//evil.example', 'hub', '/a;b', '/a b', '/a,/b'])
      expect([prefix, await described({ TRUSTED_PROXIES: '10.0.0.0/8' }, '10.1.2.3', prefix)]).toEqual([prefix, '/'])
  })

  test('BASE_PATH wins over X-Forwarded-Prefix', async () => {
    expect(await described({ BASE_PATH: '/x/y', TRUSTED_PROXIES: '10.0.0.0/8' }, '10.1.2.3', '/hub')).toBe('/x/y')
  })
})

test('bindings of the host are never called, whatever their names', async () => {
  const { app } = open()
  const body = () => {
    throw new Error("This is the host's")
  }
  const env = {
    address: '1.2.3.4',
    body,
    keep: body,
    cut: body,
    carry: body,
    bufferedBody: body,
    takeOver: body,
    destroy: body,
  }
  const sent = await app.request(
    'http://localhost/send?topic=a',
    { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' },
    env,
  )
  expect(sent.status).toBe(200)
  const read = await app.request(
    'http://localhost/event?topic=a&from=earliest',
    { headers: { accept: 'application/json' } },
    env,
  )
  expect(await read.json()).toMatchObject({ events: [{ data: 'x' }] })
})

test('every file of the page has a route', () => {
  const files = readdirSync(new URL('../../public', import.meta.url))
    .filter((name) => !name.startsWith('.') && !/\.(md|d\.ts)$/.test(name))
    .map((name) => (name === 'index.html' ? '/' : `/${name.replace(/\.html$/, '')}`))
  expect(PAGES.filter((path) => !path.startsWith('/docs/')).toSorted()).toEqual(files.toSorted())
})

test('the app uses the fast router of Hono', async () => {
  const { app } = open()
  await app.request('http://localhost/health')
  expect(app.router.name).toBe('SmartRouter + RegExpRouter')
})
