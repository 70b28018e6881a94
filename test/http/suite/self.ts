import fc from 'fast-check'
import { expect } from 'vitest'
import { runs, seed } from '../../seed.ts'
import type { Client } from './client.ts'

/** Tests health, description, and random requests. */
export function self({ group, fetch, json, it, description, everywhere, scope }: Client): void {
  group('the hub itself', () => {
    it('says at /health and /ready that the hub is alive and ready', async () => {
      expect(await json(await fetch('/health'))).toEqual({ status: 'ok' })
      expect(await json(await fetch('/ready'))).toEqual({
        status: 'ready',
        durability: expect.any(String),
        readers: expect.any(Number),
      })
    })

    it('describes itself: every answer so far matches /openapi.json, and a page shows it', async (skip) => {
      expect(description().checked).toBeGreaterThan(100)
      const response = await fetch('/docs')
      skip(response.status === 404, 'the page is left out of the Workers bundle')
      const html = await response.text()
      for (const [, path] of html.matchAll(/(?:src|href)="(\/[^"]+)"/g))
        expect([path, (await fetch(path!)).status]).toEqual([path, 200])
    })

    everywhere('answers no random request with a 5xx, and each refusal with a problem and its code', async () => {
      const path = fc.constantFrom('/send', '/event', '/', '/ready', '/topics', `/topics/${scope}/a`, '/topics/$x/%00')
      const pair = fc.tuple(
        fc.constantFrom(
          'topic',
          'message',
          'data',
          'repeat',
          'lastEventId',
          'last',
          'since',
          'prefix',
          '__proto__',
          'x',
        ),
        fc.string({ unit: 'binary', maxLength: 30 }).filter((s) => s.isWellFormed()),
      )
      // A random topic that happens to be valid is one of the suite's own.
      const within = (pairs: [string, string][]) =>
        pairs.map(([name, text]) => [name, name === 'topic' ? `${scope}/${text}` : text])
      const body = fc.oneof(
        fc.json({ maxDepth: 3 }),
        fc.string({ unit: 'binary', maxLength: 50 }).filter((s) => s.isWellFormed()),
        fc.constantFrom(
          '{"__proto__":{"message":"x"},"message":"y"}',
          '{"constructor":1,"topic":"toString"}',
          '{"topic":null,"data":"x"}',
          '',
        ),
      )
      const type = fc.constantFrom(
        'application/json',
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=x',
        'application/x-ndjson',
        'text/event-stream',
        'APPLICATION/JSON ; charset=UTF-8',
        '',
        ';;',
        '*/*',
      )
      await fc.assert(
        fc.asyncProperty(
          path,
          fc.array(pair, { maxLength: 4 }),
          fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'QUERY', 'DELETE'),
          body,
          type,
          async (at, pairs, method, text, contentType) => {
            const abort = new AbortController()
            const hasBody = method === 'POST' || method === 'PUT' || method === 'QUERY'
            const response = await fetch(`${at}?${new URLSearchParams(within(pairs))}`, {
              method,
              signal: abort.signal,
              ...(hasBody && { body: text, headers: { 'content-type': contentType } }),
            })
            expect(response.status).toBeLessThan(500)
            const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
            const isPage = response.headers.get('content-type')?.startsWith('text/plain')
            if (!isStream && response.status >= 400 && !isPage && method !== 'HEAD') {
              const problem = await json(response)
              expect(problem).toMatchObject({ status: response.status, code: expect.stringMatching(/^[a-z_]+$/) })
            }
            abort.abort()
            await response.body?.cancel().catch(() => {})
          },
        ),
        { seed, numRuns: runs(200, 5000) },
      )
    })
  })
}
