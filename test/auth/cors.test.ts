import { describe, expect, test } from 'vitest'
import { readFile } from '../../src/adapters/files.ts'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import type { RequestLine } from '../../src/requests.ts'
import type { Fetch } from '../server/ways.ts'
import { ALSO_LISTED, APP, all, EXTENSION, everyAnswer, LISTED, OTHERS, post, preflight, shared } from './cors.suite.ts'
import { SECRET } from './suite.ts'

function hubWith(settings: Record<string, string>): Fetch {
  const config = parseConfig(settings)
  const app = createApp({ hub: new Hub(() => memoryLog(config.logOptions), config.hub), config, files: readFile })
  return async (path, init) => app.request(path, init)
}

const accessControl = (response: Response) =>
  [...response.headers].filter(([name]) => name.startsWith('access-control-')).map(([name]) => name)
describe('without CORS_ORIGINS', () => {
  test('no answer has an Access-Control header, not even to a preflight', async () => {
    for (const settings of [{}, { AUTH_SECRET: SECRET }] as const) {
      const fetch = hubWith(settings)
      const asked = { origin: LISTED, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x' }
      for (const { what, response } of await everyAnswer(fetch, asked))
        expect([what, accessControl(response)]).toEqual([what, []])
    }
  })

  test('a preflight is refused like any other unsupported method', async () => {
    const response = await hubWith({})('/send?topic=a', preflight(LISTED))
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('GET, POST')
  })

  test('unsafe requests of pages of other origins are refused', async () => {
    const fetch = hubWith({})
    for (const origin of [LISTED, ...OTHERS])
      for (const more of [{}, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }]) {
        const response = await fetch('/send?topic=a', post({ origin, ...more }))
        expect([origin, response.status]).toEqual([origin, 403])
        expect(await response.json()).toMatchObject({ code: 'cross_site' })
      }
  })
})

describe('a preflight', () => {
  test('is guarded by Host, logged, and has the security headers of every answer', async () => {
    const lines: RequestLine[] = []
    const config = parseConfig({ CORS_ORIGINS: LISTED, REQUEST_LOG: 'all' })
    const app = createApp({ hub: new Hub(() => memoryLog()), config, writeLine: (line) => lines.push(line) })
    const answered = await app.request('/send', preflight(LISTED))
    expect([answered.status, answered.headers.get('x-content-type-options')]).toEqual([204, 'nosniff'])
    const rebound = await app.request('http://evil.example/send', preflight(LISTED))
    expect([rebound.status, rebound.headers.get('access-control-allow-methods')]).toEqual([403, null])
    await app.request('/send?message=x', { headers: { origin: LISTED } })
    await app.request('/send?message=x', { headers: { referer: `${LISTED}/page` } })
    expect(lines.map(({ method, status, code }) => [method, status, code])).toEqual([
      ['OPTIONS', 204, undefined],
      ['OPTIONS', 403, 'host_forbidden'],
      ['GET', 200, undefined],
      ['GET', 200, undefined],
    ])
  })
})

test('CORS_HEADERS adds to the request headers that a preflight allows', async () => {
  const allowed = async (settings: Record<string, string>) => {
    const response = await hubWith({ ...shared, ...settings })('/send', preflight(LISTED))
    return response.headers.get('access-control-allow-headers')!.split(',')
  }
  const [always, more] = [await allowed({}), await allowed({ CORS_HEADERS: 'X-Request-Id, x-my.header' })]
  expect(more).toEqual([...always, 'X-Request-Id', 'x-my.header'])
  for (const bad of ['*', 'X-A,', 'X A', 'X-A: b', 'X-A\r\nX-B', 'Ä', 'x-*'])
    expect(() => parseConfig({ CORS_HEADERS: bad }), bad).toThrow(/CORS_HEADERS=.*: expected .*never \*/)
})

test('a GET of /send from a listed app changes the store, one from another app does not', async () => {
  const { AUTH_SECRET: _, ...open } = shared
  const fetch = hubWith(open)
  for (const [origin, status] of [
    [APP, 200],
    ['ionic://localhost', 403],
    ['capacitor://evil', 403],
  ] as const)
    expect([origin, (await fetch('/send?message=x', { headers: { origin } })).status]).toEqual([origin, status])
})

test('a page of an app is not a page of the hub, even if both are named localhost', async () => {
  const fetch = hubWith({})
  for (const origin of ['capacitor://localhost', 'tauri://localhost', 'ftp://localhost', 'file://localhost']) {
    const response = await fetch('/send?topic=a', post({ origin, host: 'localhost' }))
    expect([origin, response.status]).toEqual([origin, 403])
    const get = await fetch('/send?message=x', { headers: { origin, host: 'localhost' } })
    expect([origin, get.status]).toEqual([origin, 403])
  }
})

test('a preflight that requests 64 KB of headers gets the same answer as any other', async () => {
  const fetch = hubWith(shared)
  const small = await fetch('/event', preflight(LISTED))
  for (const huge of [',', 'a,', ' ,\t', 'x-a, '].map((part) => part.repeat(65_536 / part.length))) {
    const response = await fetch('/event', preflight(LISTED, { 'access-control-request-headers': `a${huge}a` }))
    expect(response.status).toBe(204)
    expect([...response.headers]).toEqual([...small.headers])
  }
})

describe.each([
  ['an open hub', {}],
  ['a hub with keys', { AUTH_SECRET: SECRET }],
  ['a hub with CORS_ORIGINS', shared],
])('every answer of %s', (_, settings: Record<string, string>) => {
  test('has headers against caching, framing, sniffing and Referers', async () => {
    const fetch = hubWith(settings)
    const asks: Record<string, string>[] = [{}, { authorization: 'Bearer x' }]
    if (settings.AUTH_SECRET) asks.push({ authorization: `Bearer ${await all()}` })
    const seen = new Set<number>()
    for (const headers of asks)
      for (const { what, response } of await everyAnswer(fetch, headers)) {
        seen.add(response.status)
        const has = (name: string) => response.headers.get(name)
        expect([what, has('x-content-type-options'), has('referrer-policy')]).toEqual([what, 'nosniff', 'no-referrer'])
        expect([what, has('content-security-policy')]).toEqual([
          what,
          expect.stringMatching(/^default-src 'none'.*frame-ancestors 'none'/),
        ])
        expect([what, has('cross-origin-resource-policy')]).toEqual([
          what,
          expect.stringMatching(settings.CORS_ORIGINS ? /^(cross|same)-origin$/ : /^same-origin$/),
        ])
        const isStream = has('content-type')?.startsWith('text/event-stream')
        if (!isStream) expect([what, has('cache-control')]).toEqual([what, 'no-store'])
      }
    for (const status of settings.AUTH_SECRET ? [200, 401, 404, 405] : [200, 400, 404, 405])
      expect(seen).toContain(status)
  })

  test('that is a stream has headers against storing, changing and buffering, and no connection headers of HTTP/1.1', async () => {
    const fetch = hubWith(settings)
    const authorization = `Bearer ${await all()}`
    for (const [method, path] of [
      ['GET', '/event'],
      ['GET', '/event?topic=a'],
      ['HEAD', '/event?topic=a'],
      ['POST', '/event?topic=a'],
    ] as const)
      for (const from of [{}, { origin: settings.CORS_ORIGINS ? LISTED : 'http://localhost' }]) {
        const response = await fetch(path, { method, headers: { authorization, ...from } })
        await response.body?.cancel()
        const what = `${method} ${path} → ${response.status}`
        const headers = Object.fromEntries(response.headers)
        expect([what, headers]).toEqual([
          `${method} ${path} → 200`,
          expect.objectContaining({
            'content-type': 'text/event-stream; charset=utf-8',
            'cache-control': 'no-store, no-transform',
            'x-accel-buffering': 'no',
            'x-content-type-options': 'nosniff',
            'referrer-policy': 'no-referrer',
          }),
        ])
        // HTTP/2 fails with these two headers (honojs/hono#4041).
        expect([what, headers.connection, headers['transfer-encoding']]).toEqual([what, undefined, undefined])
      }
  })
})

describe('CORS_ORIGINS', () => {
  test('accepts origins as a browser sends them', () => {
    expect(parseConfig({ CORS_ORIGINS: `${LISTED}, ${ALSO_LISTED}` }).corsOrigins).toEqual([LISTED, ALSO_LISTED])
    expect(parseConfig({ CORS_ORIGINS: 'https://[::1]:8443' }).corsOrigins).toEqual(['https://[::1]:8443'])
    const apps = [
      ...[
        APP,
        EXTENSION,
        'ionic://localhost',
        'tauri://localhost',
        'app://.',
        'app://obsidian.md',
        'vscode-webview://x',
      ],
      ...['moz-extension://6a0b0ee7-7a0b-4c2e-9d2c-0123456789ab', 'my-app://localhost:3000'],
    ]
    expect(parseConfig({ CORS_ORIGINS: apps.join() }).corsOrigins).toEqual(apps)
    for (const none of [{}, { CORS_ORIGINS: '' }, { CORS_ORIGINS: 'none' }])
      expect(parseConfig(none).corsOrigins).toEqual([])
  })

  test('rejects a wildcard in a host name', () => {
    for (const bad of ['https://*.example', 'https://*.app.example', 'https://*'])
      expect(() => parseConfig({ CORS_ORIGINS: bad }), bad).toThrow(/CORS_ORIGINS=.*: expected .*never \* or null/)
  })

  test('rejects *, null, and everything that no browser sends as an origin', () => {
    for (const bad of [
      '*',
      'null',
      'https://app.example/',
      'https://app.example/path',
      'https://app.example?x',
      'https://app.example#x',
      'https://user@app.example',
      'https://app.example:443',
      'https://APP.example',
      'app.example',
      'app.example:8443',
      ...['file:///', 'file://', 'file://host', 'ws://app.example', 'ftp://app.example', 'capacitor:localhost'],
      ...['capacitor://', 'capacitor://localhost/', 'capacitor://user@localhost', 'CAPACITOR://localhost'],
      ...['chrome-extension://*', 'capacitor://LOCALHOST', 'capacitor://localhost/*'],
      'data:text/html,x',
      'https://',
      `${LISTED},*`,
      `${LISTED},null`,
      `${LISTED},`,
      `${LISTED} ${ALSO_LISTED}`,
    ])
      expect(() => parseConfig({ CORS_ORIGINS: bad }), bad).toThrow(/CORS_ORIGINS=.*: expected .*never \* or null/)
  })
})
