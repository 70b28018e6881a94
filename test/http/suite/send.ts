import { expect } from 'vitest'
import type { Client } from './client.ts'
import { CACHE_BREAKERS } from './parameters.ts'

/** Tests what `/send` accepts beside messages: names of parameters and methods. */
export function send({
  group,
  fetch,
  json,
  post,
  postJson,
  current,
  expectProblem,
  it,
  everywhere,
  freshTopic,
}: Client): void {
  group('/send', () => {
    const misspelt: [string, () => Promise<Response>, code: string, meant: string][] = [
      ['topics in the query', () => post('/send?topics=a', 'x', 'text/plain'), 'parameter_unknown', 'topic'],
      ['Topic beside a message', () => fetch('/send?Topic=a&message=x'), 'parameter_unknown', 'topic'],
      ['mesage in the query', () => fetch('/send?mesage=x'), 'parameter_unknown', 'message'],
      ['topc beside a topic', () => postJson('/send?topic=a&topc=b', { data: 'x' }), 'parameter_unknown', 'topic'],
      [
        'a field in the query',
        () => post('/send?topic=a&Event=e', 'x', 'text/plain'),
        'parameter_unknown',
        'put event in',
      ],
      [
        'message beside a topic',
        () => post('/send?topic=a&message=x', 'y', 'text/plain'),
        'parameter_unknown',
        'put data in',
      ],
      ['topics in JSON', () => postJson('/send', { topics: 'a', message: 'x' }), 'field_unknown', 'topic'],
      ['Message in a form', () => post('/send', new URLSearchParams('Message=x')), 'field_unknown', 'message'],
      ['Data in a message', () => postJson('/send?topic=a', { Data: 'x' }), 'field_unknown', 'expected data'],
      [
        'events in a message',
        () => postJson('/send?topic=a', { data: 'x', events: 'e' }),
        'field_unknown',
        'expected event',
      ],
      ['kee in a list', () => postJson('/send?topic=a', [{ data: 'x', kee: '1' }]), 'field_unknown', 'expected key'],
      [
        're-try in a form',
        () => post('/send?topic=a', new URLSearchParams('data=x&re-try=1000')),
        'field_unknown',
        'expected retry',
      ],
      [
        'colse in NDJSON',
        () => post('/send?topic=a', '{"data":"x","colse":true}', 'application/x-ndjson'),
        'field_unknown',
        'expected close',
      ],
    ]
    for (const [what, send, code, meant] of misspelt)
      it(`refuses a misspelt name and says the right one: ${what}`, async () => {
        await fetch('/send?message=untouched')
        expect((await expectProblem(await send(), 400, code)).detail).toContain(meant)
        expect(await current()).toBe('untouched')
      })

    it('accepts parameters whose names resemble none of ours, and echoes them', async () => {
      const query = {
        message: 'x',
        ...Object.fromEntries(CACHE_BREAKERS.map((name) => [name, '1'])),
        text: 'y',
        test: 'z',
      }
      const answer = await json(await fetch(`/send?${new URLSearchParams(query)}`))
      expect(answer.query).toEqual(query)
      const { message: _, ...others } = query
      expect(
        (await post(`/send?${new URLSearchParams({ topic: freshTopic(), ...others })}`, 'x', 'text/plain')).status,
      ).toBe(200)
    })

    everywhere('refuses HEAD with 405 and changes nothing', async () => {
      await fetch('/send?message=untouched')
      const response = await fetch('/send?message=x', { method: 'HEAD' })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST'])
      expect(await current()).toBe('untouched')
    })

    it('accepts a POST of a page of the same origin', async () => {
      const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }
      expect((await fetch('/send', { method: 'POST', headers, body: '{"message":"own"}' })).status).toBe(200)
    })

    it('accepts a POST of a page of the same origin although its proxy has rewritten Host', async () => {
      const headers = {
        'sec-fetch-site': 'same-origin',
        origin: 'https://hub.example',
        'content-type': 'application/json',
      }
      expect((await fetch('/send', { method: 'POST', headers, body: '{"message":"own"}' })).status).toBe(200)
    })

    it('says what a proxy lacks when it refuses a page that may be its own, and ignores X-Forwarded-Host of strangers', async () => {
      const headers = { origin: 'http://hub.example', 'x-forwarded-host': 'hub.example' }
      const response = await fetch('/send?message=x', { method: 'POST', headers })
      const { detail } = await expectProblem(response, 403, 'cross_site')
      expect(detail).toMatch(/"http:\/\/hub\.example".*proxy_set_header Host \$http_host.*TRUSTED_PROXIES/)
    })

    it('names the allowed methods in a 405, as /event does', async () => {
      expect((await fetch('/send?topic=a')).headers.get('allow')).toBe('POST')
      const response = await fetch('/event', { method: 'DELETE' })
      expect(response.headers.get('allow')).toBe('GET, HEAD, POST, QUERY')
      await expectProblem(response, 405, 'method_not_allowed')
    })
  })
}
