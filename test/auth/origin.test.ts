import { describe, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { envOf } from '../../src/routes/connection.ts'

const PROXY = '10.0.0.1'
const STRANGER = '198.51.100.4'
const PAGE = 'http://hub.example'
const trusting = { TRUSTED_PROXIES: '10.0.0.0/8' }

type Headers = Record<string, string>

/** Sends to an open hub from `address`, as a browser does through a proxy that asks the hub as `tidings:3000`, unless the headers differ. */
function hubWith(settings: Headers = {}) {
  const config = parseConfig({ OPEN: 'true', ...settings })
  const app = createApp({ hub: new Hub(() => memoryLog()), config })
  const send = async (init: RequestInit, path: string, headers: Headers, address: string) => {
    const response = await app.request(
      path,
      { ...init, headers: { host: 'tidings:3000', ...headers } },
      envOf({ address }),
    )
    const { code, detail } = (await response.json()) as { code?: string; detail?: string }
    return { status: response.status, code, detail }
  }
  return {
    post: (headers: Headers, address = PROXY) =>
      send({ method: 'POST', body: 'x' }, '/send?topic=a', { 'content-type': 'text/plain', ...headers }, address),
    get: (headers: Headers, address = PROXY) => send({}, '/send?message=x', headers, address),
  }
}

const accepted = { status: 200, code: undefined, detail: undefined }
const refused = (detail: RegExp) => ({ status: 403, code: 'cross_site', detail: expect.stringMatching(detail) })

describe('behind a proxy that rewrites Host, a page of the hub', () => {
  test('may send if its browser says that it is of the same origin', async () => {
    const { post, get } = hubWith()
    expect(await post({ origin: 'https://hub.example', 'sec-fetch-site': 'same-origin' })).toEqual(accepted)
    expect(await get({ referer: 'https://hub.example/', 'sec-fetch-site': 'same-origin' })).toEqual(accepted)
  })

  test('may send if a trusted proxy forwards the Host that it received', async () => {
    const { post, get } = hubWith(trusting)
    for (const [origin, forwarded] of [
      [PAGE, 'hub.example'],
      [PAGE, 'hub.example:80'],
      [PAGE, 'HUB.example'],
      ['https://hub.example', 'hub.example:443'],
      [`${PAGE}:8080`, 'hub.example:8080'],
      ['http://[2001:db8::1]', '[2001:db8::1]'],
      [PAGE, 'outer.example, hub.example'], // each proxy of a chain appends its own
    ] as const) {
      expect([origin, await post({ origin, 'x-forwarded-host': forwarded })]).toEqual([origin, accepted])
      expect([origin, await get({ referer: `${origin}/`, 'x-forwarded-host': forwarded })]).toEqual([origin, accepted])
    }
    expect(await post({ origin: PAGE, host: 'hub.example', 'x-forwarded-host': 'tidings' })).toEqual(accepted)
  })

  test('is refused where nothing tells that it is one, and the refusal names what the proxy lacks', async () => {
    const { post, get } = hubWith(trusting)
    const line = /"http:\/\/hub\.example".*"tidings:3000".*nginx: proxy_set_header Host \$http_host/
    expect(await post({ origin: PAGE })).toEqual(refused(line))
    expect(await get({ referer: `${PAGE}/a/secret?path` })).toEqual(refused(line))
    expect((await get({ referer: `${PAGE}/a/secret?path` })).detail).not.toContain('secret')
    const untrusted = await post({ origin: PAGE, 'x-forwarded-host': 'hub.example' }, STRANGER)
    expect(untrusted).toEqual(refused(/proxy_set_header Host.*TRUSTED_PROXIES/))
    expect((await post({ origin: PAGE })).detail).not.toContain('TRUSTED_PROXIES')
  })
})

describe('a page of another site', () => {
  const others = [
    'http://evil.example',
    'https://evil.example',
    `${PAGE}.evil.example`,
    `${PAGE}:81`,
    'null',
    'app://hub.example',
  ]

  test('is refused behind a proxy too, whatever the proxy forwards', async () => {
    const { post, get } = hubWith(trusting)
    for (const origin of others)
      for (const forwarded of [
        'hub.example',
        'evil.example, hub.example',
        '',
        ',',
        'null',
        '*',
        'hub.example:81x',
        '//',
      ]) {
        const headers = { origin, 'x-forwarded-host': forwarded }
        expect([headers, (await post(headers)).code]).toEqual([headers, 'cross_site'])
        expect([headers, (await get(headers)).code]).toEqual([headers, 'cross_site'])
      }
  })

  test('is refused if its browser says so, even if a trusted proxy forwards the host of the page', async () => {
    const { post, get } = hubWith(trusting)
    for (const site of ['cross-site', 'same-site', 'SAME-ORIGIN', '', 'none, cross-site', 'same-origin, cross-site']) {
      const headers = { origin: 'http://evil.example', 'x-forwarded-host': 'evil.example', 'sec-fetch-site': site }
      expect([site, (await post(headers)).code]).toEqual([site, 'cross_site'])
    }
    for (const site of ['cross-site', 'same-site'])
      expect((await get({ 'x-forwarded-host': 'evil.example', 'sec-fetch-site': site })).code).toBe('cross_site')
  })

  test('cannot forward a host itself: X-Forwarded-Host counts from trusted proxies only, and is in no preflight', async () => {
    for (const settings of [{}, trusting, { TRUSTED_PROXIES: '198.51.100.5' }] as Headers[])
      for (const address of settings === trusting ? [STRANGER] : [STRANGER, PROXY]) {
        const { post } = hubWith(settings)
        const headers = { origin: 'http://evil.example', 'x-forwarded-host': 'evil.example' }
        expect([settings, (await post(headers, address)).code]).toEqual([settings, 'cross_site'])
      }
    const app = createApp({ hub: new Hub(() => memoryLog()), config: parseConfig({ CORS_ORIGINS: PAGE }) })
    const { headers } = await app.request('/send', { method: 'OPTIONS', headers: { origin: PAGE } })
    expect(headers.get('access-control-allow-headers')).not.toMatch(/forwarded/i)
  })

  test('cannot reach a hub for this machine under a domain of its own: a forwarded host does not replace Host', async () => {
    const config = parseConfig(trusting)
    const app = createApp({ hub: new Hub(() => memoryLog()), config })
    for (const host of ['evil.example', 'evil.example:3000']) {
      const headers = {
        host,
        origin: `http://${host}`,
        'x-forwarded-host': 'localhost',
        'sec-fetch-site': 'same-origin',
      }
      const response = await app.request('/send?message=x', { method: 'POST', headers }, envOf({ address: PROXY }))
      expect(await response.json()).toMatchObject({ status: 403, code: 'host_forbidden' })
    }
  })
})
