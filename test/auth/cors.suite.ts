import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Fetch, Way } from '../server/ways.ts'
import { SECRET, token } from './suite.ts'

export const LISTED = 'https://app.example'
export const ALSO_LISTED = 'http://localhost:5173'
/** Origins of an app on iOS and of a browser's extension: their pages have schemes of their own. */
export const APP = 'capacitor://localhost'
export const EXTENSION = 'chrome-extension://abcdefghijklmnopabcdefghijklmnop'
const LISTED_ORIGINS = [LISTED, ALSO_LISTED, APP, EXTENSION]
export const OTHERS = [
  'null',
  'capacitor://localhost:8080',
  'capacitor://',
  'ionic://localhost',
  'capacitor://127.0.0.1',
  'capacitor://localhost.evil.example',
  'chrome-extension://pabcdefghijklmnopabcdefghijklmno',
  'https://good.app.example',
  'http://app.example',
  'https://app.example.evil',
  'https://app.example:8443',
  'https://APP.example',
  'https://app.example/',
  'https://app.exampl',
  'https://app.example, https://app.example',
  '*',
  'https://evil.example',
]

/** Settings of a hub that shares its answers with the listed origins. */
export const shared = { AUTH_SECRET: SECRET, CORS_ORIGINS: LISTED_ORIGINS.join(', ') }

/** A token that may do everything. */
export const all = () =>
  token({ publish: ['**', '$store', '$topics/**'], subscribe: ['**', '$store'] }, { sub: 'admin' })

const varies = (response: Response) => (response.headers.get('vary') ?? '').split(/,\s*/)
export const post = (headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body: '{"data":"x"}',
  headers: { 'content-type': 'application/json', ...headers },
})
export const preflight = (origin: string, headers: Record<string, string> = {}): RequestInit => ({
  method: 'OPTIONS',
  headers: { origin, 'access-control-request-method': 'POST', ...headers },
})

/** The head of the answer to every described operation, and to some undescribed requests. */
export async function everyAnswer(fetch: Fetch, headers: Record<string, string> = {}) {
  const description = (await (await fetch('/openapi.json')).json()) as { paths: Record<string, object> }
  const asks = Object.entries(description.paths).flatMap(([template, operations]) => {
    const path = template.replace('{topic}', 'a/b').replace('{stream}', 'none').replace('{id}', 'abcdefghij-1')
    const methods = Object.keys(operations).filter((name) => name !== 'parameters')
    return [...methods.map((method) => method.toUpperCase()), 'HEAD', 'PUT', 'OPTIONS'].map((method) => [method, path])
  })
  expect(asks.length).toBeGreaterThan(40)
  asks.push(['GET', '/event?topic=a'], ['QUERY', '/event'], ['GET', '/event?topic=a%2f%2f'], ['POST', '/send?topic=a'])
  asks.push(['GET', '/app.js'], ['GET', '/docs.js'], ['GET', '/send?message=x'], ['GET', '/nowhere'])
  asks.push(['DELETE', '/nowhere'], ['GET', '/%00'])
  const answers: { what: string; response: Response }[] = []
  for (const [method, path] of asks as [string, string][]) {
    const response = await fetch(path, { method, headers })
    await response.body?.cancel()
    answers.push({ what: `${method} ${path} → ${response.status}`, response })
  }
  return answers
}

/** Tests which pages may use a hub: those of listed origins, and its own behind a proxy. */
export function corsSuite({ name, start, stop }: Way): void {
  let fetch: Fetch

  beforeAll(async () => {
    fetch = await start({ ...shared, CORS_HEADERS: 'X-Request-Id, x-my.header', TRUSTED_PROXIES: '127.0.0.1, ::1' })
  })
  afterAll(stop)

  describe(`with CORS_ORIGINS, over ${name}`, () => {
    test('exactly the listed origins may read every answer, with credentials', async () => {
      for (const origin of LISTED_ORIGINS)
        for (const { what, response } of await everyAnswer(fetch, { origin })) {
          expect([what, response.headers.get('access-control-allow-origin')]).toEqual([what, origin])
          expect([what, response.headers.get('access-control-allow-credentials')]).toEqual([what, 'true'])
          expect([what, response.headers.get('access-control-expose-headers')]).toEqual([
            what,
            expect.stringMatching(/Tidings-Id.*Retry-After/),
          ])
        }
      for (const origin of OTHERS)
        for (const path of ['/topics', '/event?topic=a', '/nowhere', '/health'])
          for (const init of [{ headers: { origin } }, { ...post({ origin }) }, preflight(origin)]) {
            const response = await fetch(path, init)
            await response.body?.cancel()
            expect([origin, path, response.headers.get('access-control-allow-origin')]).toEqual([origin, path, null])
          }
    })

    test('every answer has Vary: Origin, for any origin', async () => {
      for (const headers of [{}, { origin: LISTED }, { origin: 'https://evil.example' }])
        for (const { what, response } of await everyAnswer(fetch, headers as Record<string, string>))
          expect([what, varies(response)]).toEqual([what, expect.arrayContaining(['Origin'])])
      const stream = await fetch('/event?topic=a', { headers: { authorization: `Bearer ${await all()}` } })
      expect(stream.status).toBe(200)
      await stream.body?.cancel()
      expect(varies(stream)).toEqual(expect.arrayContaining(['Accept', 'Origin']))
    })

    test('a preflight gets the same answer for any requested headers, also for 16 KB of them', async () => {
      const answers = []
      for (const asked of [
        undefined,
        '',
        'last-event-id',
        'x-evil, x-other',
        '*',
        ','.repeat(16_000),
        `a${' '.repeat(16_000)}b`,
        `${'a, '.repeat(5000)}b`,
      ]) {
        const headers = asked === undefined ? {} : { 'access-control-request-headers': asked }
        const response = await fetch('/send?topic=a', preflight(LISTED, headers))
        expect([asked?.slice(0, 20), response.status]).toEqual([asked?.slice(0, 20), 204])
        answers.push([...response.headers].filter(([header]) => !['date', 'connection', 'keep-alive'].includes(header)))
      }
      for (const answer of answers) expect(answer).toEqual(answers[0])
      const found = new Map(answers[0])
      expect(found.get('access-control-allow-origin')).toBe(LISTED)
      const names = found.get('access-control-allow-headers')!.toLowerCase().split(/,\s*/)
      expect(names).toEqual(
        expect.arrayContaining([
          ...['authorization', 'content-type', 'idempotency-key', 'last-event-id', 'prefer'],
          ...['cache-control', 'x-requested-with', 'traceparent', 'tracestate', 'baggage', 'sentry-trace'],
          ...['x-request-id', 'x-my.header'],
        ]),
      )
      expect(names).not.toContain('*')
      const methods = found.get('access-control-allow-methods')!.split(/,\s*/)
      expect(methods).toEqual(expect.arrayContaining(['GET', 'POST', 'DELETE']))
    })

    test('a preflight changes nothing and needs no token', async () => {
      const authorization = `Bearer ${await all()}`
      const topics = async () => (await fetch('/topics', { headers: { authorization } })).json()
      const before = await topics()
      for (const path of ['/send?message=x', '/topics/a', '/revoke', '/login', '/nowhere'])
        expect((await fetch(path, preflight(LISTED))).status).toBe(204)
      expect(await topics()).toEqual(before)
    })

    test('unsafe requests from listed origins are accepted, those from other origins are refused', async () => {
      const authorization = `Bearer ${await all()}`
      for (const site of ['cross-site', 'same-site', undefined]) {
        const from = { authorization, ...(site && { 'sec-fetch-site': site }) }
        for (const origin of LISTED_ORIGINS)
          expect([origin, site, (await fetch('/send?topic=a', post({ ...from, origin }))).status]).toEqual([
            origin,
            site,
            200,
          ])
        for (const origin of OTHERS) {
          const response = await fetch('/send?topic=a', post({ ...from, origin }))
          expect([origin, site, response.status]).toEqual([origin, site, 403])
          expect(await response.json()).toMatchObject({ code: 'cross_site' })
        }
      }
      const nameless = await fetch('/send?topic=a', post({ authorization, 'sec-fetch-site': 'cross-site' }))
      expect([nameless.status, ((await nameless.json()) as { code: string }).code]).toEqual([403, 'cross_site'])
      const deleted = await fetch('/topics/a', { method: 'DELETE', headers: { authorization, origin: LISTED } })
      expect(deleted.status).toBe(200)
    })

    test('a page of a listed origin can use the cookie of its login', async () => {
      const from = { origin: LISTED, 'sec-fetch-site': 'cross-site' }
      const cookie = `__Host-tidings=${await all()}`
      const response = await fetch('/event?topic=a', { headers: { ...from, cookie } })
      await response.body?.cancel()
      expect(response.status).toBe(200)
      expect(response.headers.get('access-control-allow-credentials')).toBe('true')
      expect(response.headers.get('cross-origin-resource-policy')).toBe('cross-origin')
    })

    test('a page of the hub behind a trusted proxy may send, if the proxy forwards the Host that it received', async () => {
      const authorization = `Bearer ${await all()}`
      const send = async (headers: Record<string, string>) => {
        const response = await fetch('/send?topic=a', post({ authorization, origin: 'http://hub.example', ...headers }))
        return [response.status, ((await response.json()) as { code?: string }).code]
      }
      expect(await send({ 'x-forwarded-host': 'hub.example' })).toEqual([200, undefined])
      for (const headers of [{}, { 'x-forwarded-host': 'evil.example' }] as Record<string, string>[])
        expect(await send(headers)).toEqual([403, 'cross_site'])
    })
  })
}
