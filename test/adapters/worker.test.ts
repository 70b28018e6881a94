import { env } from 'cloudflare:test'
import { expect, test } from 'vitest'
import worker from '../../src/adapters/worker.ts'

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
