import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'
import { Conforms } from './conforms.ts'

/** A hub to test: answers like `fetch`, given a path. */
export interface Target {
  readonly name: string
  fetch(path: string, init?: Init): Promise<Response>
  /** The path under which the hub is mounted in another app. */
  readonly mountedAt?: string
  /** How long a reader that vanished may still be counted: two heartbeats; 5 s by default. */
  readonly goneWithinMs?: number
  /** Cases to skip on this target, by title, with the reason. */
  readonly skip?: Readonly<Record<string, string>>
}

type Init = RequestInit & { duplex?: 'half' }

interface Stream {
  readonly response: Response
  readonly reader: Reader
  close(): void
}

const KIB = 1024
const DEFAULT = 'This is a server-sent event'

/** Tests every promise over HTTP, on any runtime, with no more than a way to send requests. */
export function httpSuite(target: Target): void {
  const open: Stream[] = []
  let topics = 0
  let before = 0

  let description: Conforms | undefined
  const fetch = async (path: string, init?: Init) => {
    const response = await target.fetch(path, init)
    await description?.check(path, init?.method ?? 'GET', response)
    return response
  }
  const json = async (response: Response) => (await response.json()) as Record<string, unknown>
  const freshTopic = () => `t/${Date.now().toString(36)}-${topics++}`
  const post = (path: string, body: BodyInit, type?: string) =>
    fetch(path, { method: 'POST', body, ...(type && { headers: { 'content-type': type } }) })
  const postJson = (path: string, value: unknown) => post(path, JSON.stringify(value), 'application/json')
  const postKeyed = (path: string, key: string, value: unknown) =>
    fetch(path, {
      method: 'POST',
      body: JSON.stringify(value),
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
    })
  const publish = async (topic: string, ...data: string[]) => {
    const ids: string[] = []
    for (const one of data) ids.push((await json(await postJson(`/send?topic=${topic}`, { data: one }))).id as string)
    return ids
  }

  async function stream(path: string, headers: Record<string, string> = {}, init: Init = {}): Promise<Stream> {
    const abort = new AbortController()
    const response = await fetch(path, {
      ...init,
      headers: { accept: 'text/event-stream', ...headers },
      signal: abort.signal,
    })
    const reader = new Reader().follow(chunks(response))
    const made = { response, reader, close: () => abort.abort() }
    open.push(made)
    return made
  }

  const readers = async () => (await json(await fetch('/ready'))).readers as number
  const messages = (reader: Reader) => reader.data.map((data) => JSON.parse(data).message as string)
  const current = async () => {
    const { reader, close } = await stream('/event')
    await expect.poll(() => reader.events.length).toBeGreaterThan(0)
    close()
    return messages(reader)[0]
  }

  async function expectProblem(response: Response, status: number, code: string): Promise<Record<string, unknown>> {
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    const problem = await json(response)
    expect(problem).toMatchObject({
      type: 'about:blank',
      title: expect.any(String),
      status,
      code,
      detail: expect.any(String),
    })
    expect(response.status).toBe(status)
    expect((problem.detail as string).length).toBeGreaterThan(20)
    return problem
  }

  function it(title: string, run: (skip: (condition: boolean, reason: string) => void) => Promise<void>): void {
    test(title, { timeout: 20_000 + 2 * (target.goneWithinMs ?? 0) }, async ({ skip }) => {
      const reason = target.skip?.[title]
      skip(reason !== undefined, reason)
      await run(skip)
    })
  }

  beforeAll(async () => {
    before = await readers()
    description = new Conforms(await json(await fetch('/openapi.json')))
  })

  afterEach(() => {
    for (const { close } of open.splice(0)) close()
  })

  describe(`over ${target.name}, the demo`, () => {
    it('streams the default message at <epoch>-0 before anything was sent', async (skip) => {
      const { reader } = await stream('/event')
      await expect.poll(() => reader.events.length).toBeGreaterThan(0)
      skip(messages(reader)[0] !== DEFAULT, 'this hub has received a message before')
      const [first] = reader.events
      expect(first).toMatchObject({ event: 'message', id: expect.stringMatching(/^[a-z0-9]{10}-0$/) })
      expect(JSON.parse(first!.data)).toEqual({
        message: DEFAULT,
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      })
    })

    it('serves a page at / that opens an EventSource, under a strict policy', async () => {
      const response = await fetch('/')
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toMatch(/^text\/html/)
      expect(response.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; script-src 'self';(?!.*unsafe)/,
      )
      const html = await response.text()
      const scripts = [...html.matchAll(/<script[^>]*src="([^"]+)"/g)].map(([, src]) => src!)
      expect(scripts.length).toBeGreaterThan(0)
      expect(html).not.toMatch(/<script(?![^>]*src=)|\son\w+=|\sstyle=/)
      const sources = await Promise.all(scripts.map(async (src) => (await fetch(`/${src}`)).text()))
      const imported = sources.flatMap((source) =>
        [...source.matchAll(/from '\.\/([^']+)'/g)].map(([, name]) => `/${name}`),
      )
      for (const path of imported) {
        const module = await fetch(path)
        expect([path, module.status]).toEqual([path, 200])
        sources.push(await module.text())
      }
      expect(sources.join()).toContain('new EventSource(')
      expect(sources.join()).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write/)
    })

    it('answers any other path with 404 as plain text', async () => {
      for (const path of [
        '/nope',
        '/event/',
        '/send/x',
        '/index.html/..%2fpackage.json',
        '/..%2f..%2fpackage.json',
        '/%2e%2e/package.json',
        '/src/app.ts',
      ]) {
        const response = await fetch(path)
        expect([path, response.status, await response.text()]).toEqual([path, 404, 'Page not found'])
        expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
      }
    })

    it('sets the store by GET and answers query, body and pathname', async () => {
      const response = await fetch('/send?message=hello%20you&x=1&x=2')
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toMatch(/^application\/json/)
      expect(await json(response)).toEqual({
        query: { message: 'hello you', x: ['1', '2'] },
        body: {},
        pathname: `${target.mountedAt ?? ''}/send`,
        id: expect.stringMatching(/^[a-z0-9]{10}-\d+$/),
      })
      expect(await current()).toBe('hello you')
    })

    const form = new FormData()
    form.append('message', 'by multipart')
    form.append('tag', 'a')
    form.append('tag', 'b')
    const of200 = { message: 'one of 200', f: Array(199).fill('x') }
    const bodies: [string, () => Promise<Response>, Record<string, unknown>][] = [
      [
        'JSON',
        () => postJson('/send', { message: 'by JSON', more: { deep: [1] } }),
        { message: 'by JSON', more: { deep: [1] } },
      ],
      [
        'a url-encoded form',
        () => post('/send', new URLSearchParams('message=by+form&tag=a&tag=b')),
        { message: 'by form', tag: ['a', 'b'] },
      ],
      ['a multipart form', () => post('/send', form), { message: 'by multipart', tag: ['a', 'b'] }],
      ['a url-encoded form of 200 values', () => post('/send', formOf(URLSearchParams, 200)), of200],
      [
        'a multipart form with a quoted boundary',
        () => post('/send', multipart('x y'), 'multipart/form-data; boundary="x y"'),
        { message: 'in parts' },
      ],
      ['a multipart form of 200 values', () => post('/send', formOf(FormData, 200)), of200],
    ]
    for (const [kind, send, body] of bodies)
      it(`sets the store by POST with ${kind}`, async () => {
        const response = await send()
        expect(await json(response)).toEqual({
          query: {},
          body,
          pathname: `${target.mountedAt ?? ''}/send`,
          id: expect.any(String),
        })
        expect(await current()).toBe(body.message)
      })

    it('refuses a body that is too large once it has been sent, because a sender that still writes could miss the answer', async () => {
      let isSent = false
      const body = new ReadableStream({
        async start(controller) {
          controller.enqueue(new Uint8Array(128 * KIB).fill(32))
          await new Promise((resolve) => setTimeout(resolve, 300))
          controller.enqueue(new Uint8Array(64 * KIB).fill(32))
          isSent = true
          controller.close()
        },
      })
      const headers = { 'content-type': 'application/json' }
      const response = await target.fetch('/send', { method: 'POST', body, headers, duplex: 'half' })
      expect([response.status, isSent]).toEqual([413, true])
    })

    it('prefers the message in the query to the message in the body', async () => {
      expect(await json(await postJson('/send?message=query', { message: 'body' }))).toMatchObject({
        body: { message: 'body' },
      })
      expect(await current()).toBe('query')
    })

    it('accepts an empty message, and a POST without a body', async () => {
      expect((await fetch('/send?message=', { method: 'POST' })).status).toBe(200)
      expect(await current()).toBe('')
    })

    it('streams the current value at once, then every second, and at once when it changes', async () => {
      await fetch('/send?message=one')
      const { reader } = await stream('/event')
      await expect.poll(() => reader.events.length, { timeout: 5000, interval: 20 }).toBe(3)
      await fetch('/send?message=two')
      await expect.poll(() => messages(reader), { interval: 5 }).toEqual(['one', 'one', 'one', 'two'])
      const ids = reader.events.map(({ id }) => id !== undefined)
      expect(ids).toEqual([true, false, false, true])
      expect(reader.events.every(({ event }) => event === 'message')).toBe(true)
    })

    it('streams a new value to every reader', async () => {
      const all = await Promise.all(Array.from({ length: 5 }, () => stream('/event')))
      await Promise.all(all.map(({ reader }) => expect.poll(() => reader.events.length).toBeGreaterThan(0)))
      await fetch('/send?message=everybody')
      await Promise.all(all.map(({ reader }) => expect.poll(() => messages(reader)).toContain('everybody')))
    })

    it('sends a returning reader what it missed, in order, and then repeats the newest value', async () => {
      const { id } = await json(await fetch('/send?message=0'))
      for (const message of ['1', '2', '3']) await fetch(`/send?message=${message}`)
      const { reader } = await stream('/event', { 'last-event-id': id as string })
      await expect.poll(() => messages(reader).slice(0, 4)).toEqual(['1', '2', '3', '3'])
      expect(reader.events.slice(0, 4).map(({ id }) => id !== undefined)).toEqual([true, true, true, false])
      expect(reader.control('open')).toEqual([])
    })

    it('delivers a message full of line ends, SSE fields and HTML unchanged', async () => {
      const message = 'a\nb\r\ndata: c\n\nevent: hub.gap\ndata: {}\n\n\u2028<img src=x onerror=alert(1)>'
      await postJson('/send', { message })
      expect(await current()).toBe(message)
    })
  })

  describe(`over ${target.name}, /send`, () => {
    const refused: [string, () => Promise<Response>, number, string][] = [
      ['a GET without a message', () => fetch('/send'), 400, 'message_missing'],
      ['a POST without a message', () => fetch('/send', { method: 'POST' }), 400, 'message_missing'],
      ['JSON without a message', () => postJson('/send', { text: 'x' }), 400, 'message_missing'],
      ['a message given twice', () => fetch('/send?message=a&message=b'), 400, 'parameter_repeated'],
      [
        'a message given twice in a form',
        () => post('/send', new URLSearchParams('message=a&message=b')),
        400,
        'parameter_repeated',
      ],
      ['a message that is not a string', () => postJson('/send', { message: 5 }), 400, 'message_invalid'],
      ['a JSON list', () => postJson('/send', ['x']), 400, 'body_invalid'],
      ['malformed JSON', () => post('/send', '{"message":', 'application/json'), 400, 'body_invalid'],
      [
        'deeply nested JSON',
        () => post('/send', `{"message":"x","a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 'application/json'),
        400,
        'body_invalid',
      ],
      [
        'a body that is not UTF-8',
        () => post('/send', new Uint8Array([0x22, 0xff, 0x22]), 'application/json'),
        400,
        'encoding_invalid',
      ],
      ['a query that is not UTF-8', () => fetch('/send?message=%ff'), 400, 'encoding_invalid'],
      [
        'a form that is not UTF-8',
        () => post('/send', 'message=%ED%A0%80', 'application/x-www-form-urlencoded'),
        400,
        'encoding_invalid',
      ],
      [
        'half of a surrogate pair',
        () => post('/send', '{"message":"\\ud800"}', 'application/json'),
        400,
        'message_invalid',
      ],
      [
        'a multipart form that is not UTF-8',
        () =>
          post('/send', latin1(multipart('x').replace('in parts', 'Gr\xfc\xdfe')), 'multipart/form-data; boundary=x'),
        400,
        'encoding_invalid',
      ],
      ...DECLARED_AS_LATIN1.map(
        ([kind, type, body]) =>
          [
            `${kind} that declares another charset than UTF-8`,
            () => post(kind === 'a multipart form' ? '/send' : '/send?topic=a', latin1(body), type),
            415,
            'content_type_unsupported',
          ] as (typeof refused)[number],
      ),
      ['plain text without a topic', () => post('/send', 'x', 'text/plain'), 415, 'content_type_unsupported'],
      ['XML', () => post('/send', '<x/>', 'application/xml'), 415, 'content_type_unsupported'],
      [
        'a compressed body',
        () =>
          fetch('/send', {
            method: 'POST',
            body: 'x',
            headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
          }),
        415,
        'content_type_unsupported',
      ],
      [
        'a form of more than 100 fields',
        () =>
          fetch('/send', {
            method: 'POST',
            body: new URLSearchParams(Array.from({ length: 101 }, (_, i) => [`f${i}`, 'x'])),
          }),
        413,
        'too_many_fields',
      ],
      [
        'a query of more than 100 names',
        () => fetch(`/send?message=x&${Array.from({ length: 100 }, (_, i) => `f${i}=x`).join('&')}`),
        413,
        'too_many_fields',
      ],
      ['a form of more than 200 values', () => post('/send', formOf(URLSearchParams, 201)), 413, 'too_many_fields'],
      ['a multipart form of more than 200 parts', () => post('/send', formOf(FormData, 201)), 413, 'too_many_fields'],
      [
        'a multipart form with two boundaries',
        () => post('/send', multipart('x'), 'multipart/form-data; boundary=x; boundary=y'),
        400,
        'body_invalid',
      ],
      [
        'a multipart form with an escaped boundary',
        () => post('/send', multipart('xy'), 'multipart/form-data; boundary="x\\y"'),
        400,
        'body_invalid',
      ],
      ['a broken multipart form', () => post('/send', 'x', 'multipart/form-data; boundary=y'), 400, 'body_invalid'],
      [
        'a body of more than 64 KiB',
        () => post('/send', JSON.stringify({ message: 'x', pad: 'y'.repeat(64 * KIB) }), 'application/json'),
        413,
        'body_too_large',
      ],
      [
        'a body of more than 64 KiB without a Content-Length',
        () =>
          target.fetch('/send', {
            method: 'POST',
            body: unannounced(),
            headers: { 'content-type': 'application/json' },
            duplex: 'half',
          }),
        413,
        'body_too_large',
      ],
      [
        'a message whose event is longer than 60 KiB',
        () => postJson('/send', { message: 'x'.repeat(60 * KIB) }),
        413,
        'event_too_large',
      ],
      ['a topic by GET', () => fetch('/send?topic=a&data=x'), 405, 'method_not_allowed'],
      ['message instead of data', () => postJson('/send?topic=a', { message: 'x' }), 400, 'field_unknown'],
      ['two topics', () => postJson('/send?topic=a&topic=b', { data: 'x' }), 400, 'parameter_repeated'],
      [
        'a topic in the query and another in the body',
        () => postJson('/send?topic=a', { topic: 'b', data: 'x' }),
        400,
        'topic_conflict',
      ],
      ['a topic that is not a string', () => postJson('/send', { topic: ['a'], data: 'x' }), 400, 'topic_invalid'],
      ['a message without data', () => postJson('/send?topic=a', {}), 400, 'data_missing'],
      ['a topic without a body', () => fetch('/send?topic=a', { method: 'POST' }), 400, 'data_missing'],
      [
        'data with a number too large for a double',
        () => post('/send?topic=a', '{"data":{"n":[1e400]}}', 'application/json'),
        400,
        'body_invalid',
      ],
      ['close that is neither true nor false', () => postJson('/send?topic=a', { close: 1 }), 400, 'body_invalid'],
      ['an unknown field', () => postJson('/send?topic=a', { data: 'x', evnet: 'y' }), 400, 'field_unknown'],
      ['an empty list', () => postJson('/send?topic=a', []), 400, 'data_missing'],
      ['a list of strings', () => postJson('/send?topic=a', ['x']), 400, 'body_invalid'],
      [
        'a list with one bad message',
        () => postJson('/send?topic=a', [{ data: 'x' }, { data: 'y', retry: 1 }]),
        400,
        'retry_invalid',
      ],
      [
        'a list with a message without a topic',
        () => postJson('/send', [{ topic: 'a', data: 'x' }, { data: 'y' }]),
        400,
        'topic_missing',
      ],
      [
        'a list of 1001 messages',
        () =>
          postJson(
            '/send?topic=a',
            Array.from({ length: 1001 }, () => ({ data: '' })),
          ),
        413,
        'batch_too_long',
      ],
      ['a field in the query', () => post('/send?topic=a&event=e', 'x', 'text/plain'), 400, 'parameter_unknown'],
      ['an unknown field in a form', () => post('/send?topic=a', new URLSearchParams('hello')), 400, 'field_unknown'],
      [
        'data given twice in a form',
        () => post('/send?topic=a', new URLSearchParams('data=x&data=y')),
        400,
        'parameter_repeated',
      ],
      [
        'a retry in a form that is not a number',
        () => post('/send?topic=a', new URLSearchParams('data=x&retry=soon')),
        400,
        'retry_invalid',
      ],
      [
        'Idempotency-Key beside a key',
        () => postKeyed('/send?topic=a', 'K', { data: 'x', key: 'k' }),
        400,
        'key_invalid',
      ],
      [
        'Idempotency-Key beside a key in a list',
        () => postKeyed('/send?topic=a', 'K', [{ data: 'x' }, { data: 'y', key: 'k' }]),
        400,
        'key_invalid',
      ],
      [
        'an Idempotency-Key that is too long',
        () => postKeyed('/send?topic=a', 'K'.repeat(181), { data: 'x' }),
        400,
        'key_invalid',
      ],
      ['NDJSON without a topic', () => post('/send', '{"data":"x"}\n', 'application/x-ndjson'), 400, 'topic_missing'],
      [
        'an event stream without a topic',
        () => post('/send', 'data: x\n\n', 'text/event-stream'),
        400,
        'topic_missing',
      ],
      [
        'an item of more than 64 KiB',
        () => post('/send?topic=a', JSON.stringify({ data: 'x'.repeat(64 * KIB) }), 'application/x-ndjson'),
        413,
        'body_too_large',
      ],
      [
        'an item that exceeds 64 KiB before it ends',
        () =>
          fetch('/send?topic=a', {
            method: 'POST',
            body: unannounced('data: '),
            headers: { 'content-type': 'text/event-stream' },
            duplex: 'half',
          }),
        413,
        'body_too_large',
      ],
      [
        'an event name with a line end',
        () => postJson('/send?topic=a', { data: 'x', event: 'a\nb' }),
        400,
        'event_invalid',
      ],
      [
        'an event name that is not a string',
        () => postJson('/send?topic=a', { data: 'x', event: 1 }),
        400,
        'event_invalid',
      ],
      [
        'a reserved event name',
        () => postJson('/send?topic=a', { data: 'x', event: 'hub.open' }),
        400,
        'event_invalid',
      ],
      [
        'a retry that injects a field',
        () => postJson('/send?topic=a', { data: 'x', retry: '0\r\nevent: admin' }),
        400,
        'retry_invalid',
      ],
      ['a retry out of bounds', () => postJson('/send?topic=a', { data: 'x', retry: 1 }), 400, 'retry_invalid'],
      ['an empty key', () => postJson('/send?topic=a', { data: 'x', key: '' }), 400, 'key_invalid'],
      [
        'data of 60 KiB and a byte',
        () => post('/send?topic=a', 'x'.repeat(60 * KIB + 1), 'text/plain'),
        413,
        'event_too_large',
      ],
      ["a topic of the hub's own", () => post('/send?topic=$store', 'x', 'text/plain'), 403, 'forbidden'],
      ['a pattern', () => post('/send?topic=a/*', 'x', 'text/plain'), 400, 'topic_invalid'],
      ['a topic with a space', () => post('/send?topic=a%20b', 'x', 'text/plain'), 400, 'topic_invalid'],
      ['a topic with a control character', () => post('/send?topic=a%0a', 'x', 'text/plain'), 400, 'topic_invalid'],
      ['an empty topic', () => post('/send?topic=', 'x', 'text/plain'), 400, 'topic_invalid'],
      ['a topic of 201 bytes', () => post(`/send?topic=${'x'.repeat(201)}`, 'x', 'text/plain'), 413, 'topic_too_long'],
      ['a DELETE', () => fetch('/send?message=x', { method: 'DELETE' }), 405, 'method_not_allowed'],
      [
        'a GET from another site',
        () => fetch('/send?message=x', { headers: { 'sec-fetch-site': 'cross-site' } }),
        403,
        'cross_site',
      ],
      [
        'a GET from another origin of this site',
        () => fetch('/send?message=x', { headers: { 'sec-fetch-site': 'same-site' } }),
        403,
        'cross_site',
      ],
      [
        'a GET with the Origin of another site and no Fetch Metadata',
        () => fetch('/send?message=x', { headers: { origin: 'http://evil.example' } }),
        403,
        'cross_site',
      ],
      [
        'a GET with the Referer of another site and no Fetch Metadata',
        () => fetch('/send?message=x', { headers: { referer: 'http://evil.example/page' } }),
        403,
        'cross_site',
      ],
      [
        'a prefetch',
        () => fetch('/send?message=x', { headers: { 'sec-purpose': 'prefetch;prerender' } }),
        403,
        'cross_site',
      ],
      [
        'a POST from another site',
        () => fetch('/send?message=x', { method: 'POST', headers: { 'sec-fetch-site': 'cross-site' } }),
        403,
        'cross_site',
      ],
      [
        'a POST from another origin of this site',
        () => fetch('/send?message=x', { method: 'POST', headers: { 'sec-fetch-site': 'same-site' } }),
        403,
        'cross_site',
      ],
      [
        'a POST with the Origin of another site and no Fetch Metadata',
        () => fetch('/send?message=x', { method: 'POST', headers: { origin: 'https://evil.example' } }),
        403,
        'cross_site',
      ],
      [
        'a POST with Origin null',
        () => fetch('/send?message=x', { method: 'POST', headers: { origin: 'null' } }),
        403,
        'cross_site',
      ],
    ]
    for (const [what, send, status, code] of refused)
      it(`refuses ${what}: ${status} ${code}, and changes nothing`, async () => {
        await fetch('/send?message=untouched')
        const { reader } = await stream('/event?topic=**')
        await expect.poll(() => reader.events.length).toBe(1)
        const problem = await expectProblem(await send(), status, code)
        const [, lines] = [await publish('after', 'x'), reader]
        await expect.poll(() => lines.data).toEqual(['x'])
        expect(await current()).toBe('untouched')
        expect(JSON.stringify(problem).length).toBeLessThan(1000)
      })

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
      expect((await post(`/send?${new URLSearchParams({ topic: 'a', ...others })}`, 'x', 'text/plain')).status).toBe(
        200,
      )
    })

    it('refuses HEAD with 405 and changes nothing', async () => {
      await fetch('/send?message=untouched')
      const response = await fetch('/send?message=x', { method: 'HEAD' })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST'])
      expect(await current()).toBe('untouched')
    })

    it('accepts a POST of a page of the same origin', async () => {
      const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }
      expect((await fetch('/send', { method: 'POST', headers, body: '{"message":"own"}' })).status).toBe(200)
    })

    it('names the allowed methods in a 405, as /event does', async () => {
      expect((await fetch('/send?topic=a')).headers.get('allow')).toBe('POST')
      const response = await fetch('/event', { method: 'DELETE' })
      expect(response.headers.get('allow')).toBe('GET, HEAD, POST, QUERY')
      await expectProblem(response, 405, 'method_not_allowed')
    })
  })

  describe(`over ${target.name}, topics`, () => {
    it('deliver what is published as JSON, with its event name, retry and id', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const answer = await json(await postJson(`/send?topic=${topic}`, { data: '{"n":1}', event: 'tick', retry: 2000 }))
      expect(answer).toEqual({
        id: expect.any(String),
        topic,
        durability: expect.stringMatching(/^(memory|process|disk|quorum)$/),
      })
      await reader.gets('{"n":1}')
      expect(reader.events.at(-1)).toEqual({ event: 'tick', data: '{"n":1}', id: answer.id })
      expect(reader.retries).toEqual([3000, 2000])
    })

    it('deliver plain text, and may be named in the body', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      await post(`/send?topic=${topic}`, ' two\nlines ', 'text/plain; charset=utf-8')
      await postJson('/send', { topic, data: '' })
      await reader.gets(' two\nlines ', '')
    })

    it('are delivered from bodies whose charset is any name of UTF-8 or of ASCII, which is a part of UTF-8', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const types = ['utf-8', '"utf-8"', 'UTF-8; format=flowed', 'utf8', 'UTF8', 'us-ascii', '"US-ASCII"']
      for (const charset of types) await post(`/send?topic=${topic}`, 'é', `text/plain; charset=${charset}`)
      await post(`/send?topic=${topic}`, '{"data":"é"}\n', 'application/x-ndjson; charset=utf-8')
      await post(`/send?topic=${topic}`, 'data: é\n\n', 'text/event-stream;charset=utf8')
      await reader.gets(...Array(types.length + 2).fill('é'))
    })

    it('are delivered from JSON with a byte order mark; plain text keeps its mark', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      for (const body of ['{"data":"1"}', '[{"data":{"n":2}}]'])
        expect((await post(`/send?topic=${topic}`, `\ufeff${body}`, 'application/json')).status).toBe(200)
      await post(`/send?topic=${topic}`, '\ufeff{"data":"3"}', 'application/x-ndjson')
      await post(`/send?topic=${topic}`, '\ufeff4', 'text/plain')
      await reader.gets('1', '{"n":2}', '3', '\ufeff4')
    })

    it('deliver data of exactly 60 KiB', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const data = 'é'.repeat(30 * KIB)
      expect((await post(`/send?topic=${topic}`, data, 'text/plain')).status).toBe(200)
      await reader.gets(data)
    })

    it('begin with hub.open, whose id is the head', async () => {
      const topic = freshTopic()
      const [id] = await publish(topic, 'before')
      const { reader } = await stream(`/event?topic=${topic}`)
      await expect.poll(() => reader.events.length).toBe(1)
      expect(reader.events[0]).toEqual({
        event: 'hub.open',
        data: expect.stringMatching(/^{"state":"live","stream":"[0-9a-f]{32}"}$/),
        id,
      })
    })

    const DATA_AS_WRITTEN: [string, string][] = [
      ['{ "a" : [ 1, null ,"x y" ]\t}', '{"a":[1,null,"x y"]}'],
      ['[]', '[]'],
      ['[ ]', '[]'],
      ['5', '5'],
      ['true', 'true'],
      ['null', 'null'],
      ['"{\\"a\\": 1}"', '{"a": 1}'],
      ['"\\u0041\\n"', 'A\n'],
      ['154284075601887489', '154284075601887489'],
      [
        '{"id":154284075601887489,"price":1.0,"tiny":-0,"exp":1E+2}',
        '{"id":154284075601887489,"price":1.0,"tiny":-0,"exp":1E+2}',
      ],
      ['{"b":1,"2":2,"a":3,"1":4,"b":5}', '{"b":1,"2":2,"a":3,"1":4,"b":5}'],
      ['["\\u0041\\/\\ud83d\\ude00", " \\" : \\\\", "é😀"]', '["\\u0041\\/\\ud83d\\ude00"," \\" : \\\\","é😀"]'],
    ]
    const asData = (data: string, i: number) =>
      [`{"data":${data}}`, `\r\n { "data": "no", "d\\u0061ta" :\n${data} }`][i % 2]!

    it('deliver any JSON value as it was written, without insignificant whitespace', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      for (const [i, [data]] of DATA_AS_WRITTEN.entries())
        expect((await post(`/send?topic=${topic}`, asData(data, i), 'application/json')).status).toBe(200)
      await reader.gets(...DATA_AS_WRITTEN.map(([, written]) => written))
    })

    it('deliver the JSON values of a list and of NDJSON as they were written', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}/*`)
      const messages = DATA_AS_WRITTEN.map(([data], i) => asData(data, i).replaceAll(/[\r\n]/g, ' '))
      expect((await post(`/send?topic=${topic}/list`, `[${messages.join(' , ')}]`, 'application/json')).status).toBe(
        200,
      )
      expect((await post(`/send?topic=${topic}/lines`, messages.join('\n'), 'application/x-ndjson')).status).toBe(200)
      const written = DATA_AS_WRITTEN.map(([, text]) => text)
      await reader.gets(...written, ...written)
    })

    it('take the same key again if only whitespace of the JSON data differs, and refuse it if a number is written otherwise', async () => {
      const topic = freshTopic()
      const send = (data: string) => post(`/send?topic=${topic}`, `{"key":"k","data":${data}}`, 'application/json')
      const { id } = await json(await send('{"n":1.0}'))
      expect(await json(await send('{ "n" : 1.0 }'))).toMatchObject({ id, duplicate: true })
      await expectProblem(await send('{"n":1}'), 409, 'key_conflict')
    })

    const formData = new FormData()
    for (const [name, value] of [
      ['data', 'by multipart'],
      ['event', 'e'],
      ['retry', '2000'],
    ] as const)
      formData.append(name, value)
    for (const [kind, body] of [
      ['a url-encoded form', new URLSearchParams('data=by+form&event=e&retry=2000')],
      ['a multipart form', formData],
    ] as const)
      it(`deliver what is published as ${kind}, and may be named in it`, async () => {
        const topic = freshTopic()
        const { reader } = await stream(`/event?topic=${topic}`)
        const { id } = await json(await post(`/send?topic=${topic}`, body))
        await expect.poll(() => reader.data.length).toBe(1)
        expect(reader.events.at(-1)).toMatchObject({ event: 'e', id })
        expect(reader.retries).toEqual([3000, 2000])
        const named = new URLSearchParams({ topic, data: 'named in the form' })
        expect(await json(await post('/send', named))).toMatchObject({ topic })
      })

    it('deliver all messages of a list or none, with consecutive ids', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}/*`)
      const list = [
        { topic: `${topic}/a`, data: '1' },
        { topic: `${topic}/b`, data: '2', event: 'e' },
        { topic: `${topic}/a`, data: '3', key: 'k' },
      ]
      const answer = await json(await postJson('/send', list))
      const ids = answer.ids as string[]
      expect(answer).toEqual({ ids, topics: list.map((m) => m.topic), durability: expect.any(String) })
      await reader.gets('1', '2', '3')
      expect(reader.events.slice(1).map(({ id }) => id)).toEqual(ids)
      const seqs = ids.map((id) => Number(id.split('-')[1]))
      expect(seqs).toEqual([seqs[0], seqs[0]! + 1, seqs[0]! + 2])
      await expectProblem(
        await postJson('/send', [...list.slice(0, 2), { topic: 'a b', data: 'x' }]),
        400,
        'topic_invalid',
      )
      await expectProblem(await postJson('/send', [list[0], { ...list[2], data: 'other' }]), 409, 'key_conflict')
      expect(
        await json(await postJson(`/send?topic=${topic}/a`, [{ data: '3', key: 'k' }, { data: '4' }])),
      ).toMatchObject({
        ids: [ids[2], expect.any(String)],
        topic: `${topic}/a`,
        duplicates: 1,
      })
      await reader.gets('1', '2', '3', '4')
    })

    it('accept a list of exactly 1000 messages', async () => {
      const topic = freshTopic()
      const answer = await json(
        await postJson(
          `/send?topic=${topic}`,
          Array.from({ length: 1000 }, () => ({ data: '' })),
        ),
      )
      expect(answer.ids).toHaveLength(1000)
    })

    it('take Idempotency-Key as the key of one message, and with an index as the key of each in a list', async () => {
      const topic = freshTopic()
      const one = await json(await postKeyed(`/send?topic=${topic}`, 'K', { data: 'x' }))
      expect(await json(await postKeyed(`/send?topic=${topic}`, 'K', { data: 'x' }))).toEqual({
        ...one,
        duplicate: true,
      })
      expect(await json(await postJson(`/send?topic=${topic}`, { data: 'x', key: 'K' }))).toEqual({
        ...one,
        duplicate: true,
      })
      const list = [{ data: '1' }, { data: '2' }]
      const all = await json(await postKeyed(`/send?topic=${topic}`, 'L', list))
      expect(await json(await postKeyed(`/send?topic=${topic}`, 'L', list))).toEqual({ ...all, duplicates: 2 })
      const { id } = await json(await postJson(`/send?topic=${topic}`, { data: '2', key: 'L/1' }))
      expect(id).toBe((all.ids as string[])[1])
      await expectProblem(
        await postKeyed(`/send?topic=${topic}`, 'L', [{ data: '1' }, { data: '?' }]),
        409,
        'key_conflict',
      )
      const set = () =>
        fetch('/send?message=once', { method: 'POST', headers: { 'idempotency-key': topic } }).then(json)
      expect((await set()).id).toBe((await set()).id)
    })

    it('answer 204 with the newest id in a header under Prefer: return=minimal', async () => {
      const topic = freshTopic()
      const headers = { 'content-type': 'application/json', prefer: 'respond-async, return=minimal' }
      for (const body of ['{"data":"x"}', '[{"data":"y"},{"data":"z"}]']) {
        const response = await fetch(`/send?topic=${topic}`, { method: 'POST', headers, body })
        expect([response.status, await response.text()]).toEqual([204, ''])
        expect(response.headers.get('preference-applied')).toBe('return=minimal')
        const { lastId } = await json(await fetch(`/topics/${topic}`))
        expect(response.headers.get('tidings-id')).toBe(lastId)
      }
    })

    it('can be closed: readers get everything, hub.closed and the end; resuming gets 204, publishing 409', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const pattern = await stream(`/event?topic=${topic}/**&topic=${topic}`)
      await publish(topic, '1')
      const { id } = await json(await postJson(`/send?topic=${topic}`, { data: '2', close: true }))
      await reader.gets('1', '2')
      await expect.poll(() => reader.ended).toBe(true)
      expect(reader.lines.at(-1)).toBe(`hub.closed {"topic":"${topic}"} ${id}`)
      await expect.poll(() => pattern.reader.control('closed')).toEqual([{ topic }])
      expect(pattern.reader.ended).toBe(false)
      await expectProblem(await postJson(`/send?topic=${topic}`, { data: '3' }), 409, 'topic_closed')
      const back = await fetch(`/event?topic=${topic}`, { headers: { 'last-event-id': id as string } })
      expect([back.status, await back.text()]).toEqual([204, ''])
      const fresh = await stream(`/event?topic=${topic}`)
      await expect.poll(() => fresh.reader.ended).toBe(true)
      expect(fresh.reader.events.map(({ event }) => event)).toEqual(['hub.open', 'hub.closed'])
      const history = await stream(`/event?topic=${topic}&last=1`)
      await history.reader.gets('2')
      await expect.poll(() => history.reader.ended).toBe(true)
      const bare = freshTopic()
      expect((await postJson(`/send?topic=${bare}`, { close: true })).status).toBe(200)
      expect(await json(await fetch(`/topics/${bare}`))).toMatchObject({ closed: true, kept: 1 })
    })

    it('begin with history by last, from=earliest or since; a Last-Event-ID wins over these', async () => {
      const topic = freshTopic()
      const ids = await publish(`${topic}/a`, '1', '2')
      await publish(`${topic}/b`, '3')
      await new Promise((resolve) => setTimeout(resolve, 50))
      const between = new Date(Date.now() - 10)
      await publish(`${topic}/a`, '4')
      const gets = async (query: string, ...data: string[]) => {
        const { reader, close } = await stream(`/event?${query}`)
        await expect.poll(() => reader.control('open')).toMatchObject([{ state: 'live' }])
        await reader.gets(...data)
        expect(reader.control('gap')).toEqual([])
        close()
      }
      await gets(`topic=${topic}/a&last=1`, '4')
      await gets(`topic=${topic}/*&last=2`, '3', '4')
      await gets(`topic=${topic}/a&topic=${topic}/b&last=10000`, '1', '2', '3', '4')
      await gets(`topic=${topic}/a&from=earliest`, '1', '2', '4')
      await gets(`topic=${topic}/a&since=1h`, '1', '2', '4')
      await gets(`topic=${topic}/*&since=${between.toISOString()}`, '4')
      const local = new Date(between.getTime() + 3_600_000).toISOString().replace('Z', '+01:00')
      await gets(`topic=${topic}/*&since=${local}`, '4') // with an unescaped +
      await gets(`topic=${topic}/a&since=0s`)
      for (const beginning of ['last=10', 'from=earliest', 'since=1h']) {
        const { reader } = await stream(`/event?topic=${topic}/a&${beginning}`, { 'last-event-id': ids[1]! })
        await reader.gets('4')
        expect(reader.control('open')).toMatchObject([{ state: 'resumed' }])
      }
    })

    it('deliver only the newest event of each topic under latest=true, with a gap for skipped ones under gaps=true', async () => {
      const topic = freshTopic()
      const [id] = await publish(`${topic}/a`, '1', '2')
      await publish(`${topic}/b`, '3', '4')
      const passed = (await publish(`${topic}/a`, '5')) && (await json(await fetch(`/topics/${topic}/b`)))
      const latest = await stream(`/event?topic=${topic}/*&latest=true&lastEventId=${id}`)
      const told = await stream(`/event?topic=${topic}/*&latest=true&gaps=true`, { 'last-event-id': id! })
      for (const { reader } of [latest, told]) await reader.gets('4', '5')
      expect(latest.reader.control('gap')).toEqual([])
      const to = (passed.lastId as string).replace(/\d+$/, (seq) => `${Number(seq) - 1}`)
      expect(told.reader.control('gap')).toEqual([{ reason: 'conflated', from: id, to, exact: true }])
      await publish(`${topic}/a`, '6')
      for (const { reader } of [latest, told]) await reader.gets('4', '5', '6')
      const snapshot = await stream(`/event?topic=${topic}/*&latest=true&from=earliest`)
      await snapshot.reader.gets('4', '6')
    })

    for (const method of ['POST', 'QUERY'])
      it(`can be listed in the body of a ${method}, beside those of the URL`, async () => {
        const topic = freshTopic()
        const topics = Array.from(
          { length: 99 },
          (_, i) => ['topic', `${topic}/${'x'.repeat(150)}/${i}`] as [string, string],
        )
        const body = new URLSearchParams([...topics, ['last', '3']])
        await publish(`${topic}/in-url`, '1')
        await publish(topics[98]![1], '2')
        const init = { method, body: `${body}` }
        const headers = { 'content-type': 'application/x-www-form-urlencoded' }
        const { reader } = await stream(`/event?topic=${topic}/in-url`, headers, init)
        await reader.gets('1', '2')
        await publish(topics[50]![1], '3')
        await reader.gets('1', '2', '3')
        const refused = (type: string, text: string, more = {}) =>
          fetch(`/event?last=1`, { method, body: text, headers: { 'content-type': type, ...more } })
        await expectProblem(await refused('application/json', '{"topic":"a"}'), 415, 'content_type_unsupported')
        await expectProblem(await refused(headers['content-type'], 'topic=a&last=2'), 400, 'parameter_repeated')
        await expectProblem(
          await refused(headers['content-type'], 'topic=a', { origin: 'https://evil.example' }),
          403,
          'cross_site',
        )
      })

    it('match by name, by pattern, or by both on one stream, which gets each event once', async () => {
      const topic = freshTopic()
      const exact = await stream(`/event?topic=${topic}/a`)
      const one = await stream(`/event?topic=${topic}/*`)
      const rest = await stream(`/event?topic=${topic}/**`)
      const both = await stream(`/event?topic=${topic}/a&topic=${topic}/*&topic=${topic}/b/c`)
      await publish(`${topic}/a`, '1')
      await publish(`${topic}/b`, '2')
      await publish(`${topic}/b/c`, '3')
      await publish(topic, '4')
      await exact.reader.gets('1')
      await one.reader.gets('1', '2')
      await rest.reader.gets('1', '2', '3')
      await both.reader.gets('1', '2', '3')
    })

    it('resume after a Last-Event-ID in the header or the query; the header wins', async () => {
      const topic = freshTopic()
      const ids = await publish(topic, '1', '2', '3', '4')
      const header = await stream(`/event?topic=${topic}`, { 'last-event-id': ids[1]! })
      const query = await stream(`/event?topic=${topic}&lastEventId=${ids[2]}`)
      const other = await stream(`/event?topic=${topic}&last_event_id=${ids[2]}`)
      const both = await stream(`/event?topic=${topic}&lastEventId=${ids[0]}`, { 'last-event-id': ids[2]! })
      await header.reader.gets('3', '4')
      for (const { reader } of [query, other, both]) await reader.gets('4')
      expect(header.reader.events[0]).toMatchObject({ event: 'hub.open', id: ids[1] })
      expect(header.reader.control('open')).toMatchObject([{ state: 'resumed' }])
    })

    it('resume at the last position several times, each event once', async () => {
      const topic = freshTopic()
      const got: string[] = []
      let position: string | undefined
      for (let i = 0; i < 5; i++) {
        await publish(topic, `${i}a`, `${i}b`)
        const { reader, close } = await stream(
          `/event?topic=${topic}`,
          position ? { 'last-event-id': position } : { 'last-event-id': 'x-0' },
        )
        await expect.poll(() => reader.data.length).toBe(2)
        close()
        got.push(...reader.data)
        position = reader.lastEventId
      }
      expect(got).toEqual(['0a', '0b', '1a', '1b', '2a', '2b', '3a', '3b', '4a', '4b'])
    })

    const strangers: [string, (epoch: string) => string, string][] = [
      ['garbage', () => 'what?', 'unknown'],
      ['an SQL injection', () => "' OR 1=1 --", 'unknown'],
      ['a very long text', () => 'x'.repeat(4000), 'unknown'],
      ['a position of another epoch', () => 'zzzzzzzzzz-3', 'epoch'],
      ['a position ahead of the log', (epoch) => `${epoch}-9007199254740991`, 'ahead'],
      ['a position with a seq of 2^64', (epoch) => `${epoch}-18446744073709551616`, 'unknown'],
      ['a position with a negative seq', (epoch) => `${epoch}--1`, 'unknown'],
    ]
    for (const [what, position, reason] of strangers)
      it(`answer ${what} as Last-Event-ID with hub.gap (${reason})`, async () => {
        const topic = freshTopic()
        const [id] = await publish(topic, 'before')
        for (const headers of [true, false]) {
          const asked = position(id!.split('-')[0]!)
          const query = headers ? '' : `&lastEventId=${encodeURIComponent(asked)}`
          const { reader } = await stream(`/event?topic=${topic}${query}`, headers ? { 'last-event-id': asked } : {})
          await expect.poll(() => reader.events.length).toBeGreaterThanOrEqual(2)
          expect(reader.control('open')).toMatchObject([{ state: 'gap' }])
          expect(reader.control('gap')).toMatchObject([{ reason, from: reason === 'unknown' ? null : asked }])
          expect(reader.events[1]!.event).toBe('hub.gap')
        }
        const plain = await stream('/event', { 'last-event-id': position(id!.split('-')[0]!) })
        await expect.poll(() => plain.reader.control('gap')).toMatchObject([{ reason }])
      })

    it('treat an empty Last-Event-ID as missing', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}&lastEventId=`, { 'last-event-id': '' })
      await expect.poll(() => reader.control('open')).toMatchObject([{ state: 'live' }])
    })

    it('answer a repeated key with its first id, and refuse the key with other data', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const first = await json(await postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }))
      const again = await json(await postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }))
      expect(again).toEqual({ ...first, duplicate: true })
      await expectProblem(await postJson(`/send?topic=${topic}`, { data: 'y', key: 'k' }), 409, 'key_conflict')
      await publish(topic, 'end')
      await reader.gets('x', 'end')
    })

    it('append one event for a hundred concurrent publishes with one key', async () => {
      const topic = freshTopic()
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }).then(json)),
      )
      expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
      expect(answers.filter(({ duplicate }) => duplicate !== true)).toHaveLength(1)
    })

    it('are delivered to all readers in one order, also from concurrent publishers', async () => {
      const topic = freshTopic()
      const all = await Promise.all(Array.from({ length: 4 }, () => stream(`/event?topic=${topic}/*`)))
      await Promise.all(Array.from({ length: 40 }, (_, i) => publish(`${topic}/${i % 3}`, `${i}`)))
      await Promise.all(all.map(({ reader }) => expect.poll(() => reader.data.length).toBe(40)))
      const orders = all.map(({ reader }) =>
        reader.events
          .slice(1)
          .map(({ id, data }) => `${id} ${data}`)
          .join(),
      )
      expect(new Set(orders).size).toBe(1)
      const seqs = all[0]!.reader.events.slice(1).map(({ id }) => Number(id!.split('-')[1]))
      expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
    })

    it('send the newest event again without an id under repeat', async () => {
      const topic = freshTopic()
      await publish(topic, 'x')
      const { reader } = await stream(`/event?topic=${topic}&repeat=1000`)
      await expect.poll(() => reader.data, { timeout: 4000 }).toEqual(['x', 'x'])
      expect(reader.events.slice(1).map(({ id }) => id)).toEqual([undefined, undefined])
    })

    it('refuse 101 topics, and accept 100', async () => {
      const query = (n: number) => Array.from({ length: n }, (_, i) => `topic=t/${i}`).join('&')
      await expectProblem(await fetch(`/event?${query(101)}`), 413, 'too_many_topics')
      expect((await fetch(`/event?${query(100)}`, { method: 'HEAD' })).status).toBe(200)
    })

    const refused: [string, string, string][] = [
      ['a name with a space', 'topic=a%20b', 'topic_invalid'],
      ['an empty name', 'topic=', 'topic_invalid'],
      ['a bad pattern', 'topic=a/**/b', 'pattern_invalid'],
      ['two positions', 'topic=a&lastEventId=x-1&lastEventId=x-2', 'parameter_repeated'],
      ['two positions by two names', 'topic=a&lastEventId=x-1&last_event_id=x-2', 'parameter_repeated'],
      ['repeat out of bounds', 'topic=a&repeat=10', 'parameter_invalid'],
      ['repeat that is not a number', 'topic=a&repeat=often', 'parameter_invalid'],
      ['repeat of a pattern', 'topic=a/*&repeat=1000', 'parameter_invalid'],
      ['repeat of two topics', 'topic=a&topic=b&repeat=1000', 'parameter_invalid'],
      ['repeat without a topic', 'repeat=1000', 'parameter_invalid'],
      ['last below its bound', 'topic=a&last=0', 'parameter_invalid'],
      ['last above its bound', 'topic=a&last=10001', 'parameter_invalid'],
      ['last without a topic', 'last=1', 'parameter_invalid'],
      ['last beside from', 'topic=a&last=1&from=earliest', 'parameter_invalid'],
      ['an unknown from', 'topic=a&from=latest', 'parameter_invalid'],
      ['since that is not a time', 'topic=a&since=yesterday', 'parameter_invalid'],
      ['since with an impossible date', 'topic=a&since=2026-13-01T00:00:00Z', 'parameter_invalid'],
      ['since without a time zone', 'topic=a&since=2026-11-24T00:00:00', 'parameter_invalid'],
      ['latest that is neither true nor false', 'topic=a&latest=1', 'parameter_invalid'],
      ['gaps without latest', 'topic=a&gaps=true', 'parameter_invalid'],
      ['wait above its bound', 'topic=a&wait=61', 'parameter_invalid'],
      ['a query that is not UTF-8', 'topic=%c3%28', 'encoding_invalid'],
    ]
    for (const [what, query, code] of refused)
      it(`refuse ${what}: 400 ${code}`, async () => {
        await expectProblem(await fetch(`/event?${query}`), 400, code)
      })
  })

  describe(`over ${target.name}, the parameters of /event`, () => {
    const status = async (query: string) => (await fetch(`/event?${query}`, { method: 'HEAD' })).status
    const misspelt = [
      ['lastEventID', 'lastEventId'],
      ['Last-Event-ID', 'lastEventId'],
      ['LAST_EVENT_ID', 'lastEventId'],
      ['lastEvent', 'lastEventId'],
      ['topics', 'topic'],
      ['Topic', 'topic'],
      ['topc', 'topic'],
      ['tpoic', 'topic'],
      ['tickt', 'ticket'],
      ['form', 'from'],
      ['lats', 'last'],
      ['Since', 'since'],
      ['latset', 'latest'],
      ['gap', 'gaps'],
      ['repeats', 'repeat'],
      ['wiat', 'wait'],
    ] as const
    it('that are misspelt are refused with the right name, on the demo stream and beside a topic, in a query and in a form', async () => {
      for (const [name, meant] of misspelt) {
        const asks = [
          fetch(`/event?${name}=1`),
          fetch(`/event?topic=a&${name}=1`),
          post('/event', new URLSearchParams({ [name]: '1' })),
          post('/event?topic=a', new URLSearchParams({ [name]: '1' })),
        ]
        for (const response of await Promise.all(asks)) {
          const { detail } = await expectProblem(response, 400, 'parameter_unknown')
          expect(detail).toBe(`Cannot use "${name}" as a parameter: expected ${meant}`)
        }
      }
    })

    it('that only make a URL unique are accepted everywhere', async () => {
      for (const name of [...CACHE_BREAKERS, `${Date.now()}`]) {
        expect([name, await status(`${name}=${Date.now()}`)]).toEqual([name, 200])
        expect([name, await status(`topic=a&${name}=0.${Date.now()}`)]).toEqual([name, 200])
      }
    })

    it('that are unknown and resemble none of ours are refused beside a topic, and accepted on the demo stream', async () => {
      for (const name of ['id', 'filter', 'test', 'token', 'eventId', 'data', '__proto__', 'constructor']) {
        expect([name, await status(`${name}=1`)]).toEqual([name, 200])
        const { detail } = await expectProblem(await fetch(`/event?topic=a&${name}=1`), 400, 'parameter_unknown')
        expect(detail).toContain('expected topic, ticket, lastEventId,')
      }
    })

    it('have at most 100 different names', async () => {
      const query = (count: number) => Array.from({ length: count }, (_, i) => `${i}=x`).join('&')
      expect(await status(query(100))).toBe(200)
      await expectProblem(await fetch(`/event?${query(101)}`), 413, 'too_many_fields')
    })
  })

  describe(`over ${target.name}, a streamed body`, () => {
    const upload = (path: string, type: string, headers: Record<string, string> = {}) => {
      const body = new TransformStream<Uint8Array, Uint8Array>()
      const writer = body.writable.getWriter()
      const answer = fetch(path, {
        method: 'POST',
        body: body.readable,
        duplex: 'half',
        headers: { 'content-type': type, ...headers },
      })
      answer.catch(() => {})
      const write = (text: string | Uint8Array) =>
        writer.write(typeof text === 'string' ? new TextEncoder().encode(text) : text)
      return { answer, write, end: () => writer.close(), cut: () => writer.abort(new Error('cut')) }
    }

    it('of NDJSON is published line by line as it arrives, and the answer counts its items', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const { answer, write, end } = upload(`/send?topic=${topic}`, 'application/x-ndjson')
      await write('{"data":"1"}\n{"data":{"n":2},"ev')
      await reader.gets('1')
      await write('ent":"e"}\r\n\n  \n')
      await reader.gets('1', '{"n":2}')
      await write('{"data":"é')
      await write('"}')
      await end()
      await reader.gets('1', '{"n":2}', 'é')
      expect(await json(await answer)).toEqual({
        taken: 3,
        lastId: reader.events.at(-1)!.id,
        topic,
        durability: expect.any(String),
      })
      expect(reader.events.at(-2)!.event).toBe('e')
    })

    it('of an event stream is published event by event, without its ids and retries; reserved names get a prefix', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const { answer, write, end } = upload(`/send?topic=${topic}`, 'text/event-stream; charset=utf-8')
      await write('\ufeff: a comment\nretry: 1\nid: 7\ndata: 1\n\n')
      await reader.gets('1')
      await write('event: tick\rdata: 2\rdata:  3\r\revent: hub.gap\r\ndata: 4\r\n\r\n')
      await write('event: error\ndata: 5\n\ndata: cut off before its end\n')
      await end()
      expect(await json(await answer)).toMatchObject({ taken: 4, topic, incomplete: true })
      await reader.gets('1', '2\n 3', '4', '5')
      expect(reader.events.slice(1).map(({ event }) => event)).toEqual([
        undefined,
        'tick',
        'upstream.hub.gap',
        'upstream.error',
      ])
      expect(reader.events.map(({ id }) => id)).not.toContain('7')
      expect(reader.retries).toEqual([3000])
    })

    const bad: [string, string, number, string][] = [
      ['is not JSON', '{"data":', 400, 'body_invalid'],
      ['is not an object', '"x"', 400, 'body_invalid'],
      ['has no data', '{"event":"x"}', 400, 'data_missing'],
      ['has a bad event name', '{"data":"x","event":"hub.open"}', 400, 'event_invalid'],
      ['has the key of another message', '{"data":"x","key":"k"}', 409, 'key_conflict'],
      ['names another topic', '{"data":"x","topic":"$store"}', 400, 'topic_conflict'],
    ]
    for (const [what, line, status, code] of bad)
      it(`stops at an item that ${what}: items before it are published, items after it are not`, async () => {
        const topic = freshTopic()
        const good = Array.from({ length: 5 }, (_, i) => `{"data":"${i}","key":"${i === 0 ? 'k' : i}"}`)
        const body = [...good, line, '{"data":"after"}', ''].join('\n')
        const problem = await expectProblem(
          await post(`/send?topic=${topic}`, body, 'application/x-ndjson'),
          status,
          code,
        )
        expect(problem).toMatchObject({ taken: 5, detail: expect.stringContaining('item 5 of the stream') })
        expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({ kept: 5, lastId: problem.lastId })
        const { reader } = await stream(`/event?topic=${topic}&from=earliest`)
        await reader.gets('0', '1', '2', '3', '4')
      })

    it('that is sent again with the same Idempotency-Key after it was cut adds only what is missing', async () => {
      const topic = freshTopic()
      const lines = Array.from({ length: 300 }, (_, i) => `{"data":"${i}"}\n`)
      const first = upload(`/send?topic=${topic}`, 'application/x-ndjson', { 'idempotency-key': 'K' })
      await first.write(lines.slice(0, 100).join(''))
      await expect.poll(async () => (await json(await fetch(`/topics/${topic}`))).kept).toBe(100)
      await first.cut().catch(() => {})
      await first.answer.catch(() => {})
      const again = () =>
        fetch(`/send?topic=${topic}`, {
          method: 'POST',
          body: lines.join(''),
          headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': 'K' },
        }).then(json)
      const second = await again()
      expect(second).toMatchObject({ taken: 300, duplicates: 100 })
      expect(await again()).toEqual({ ...second, duplicates: 300 })
      const { reader } = await stream(`/event?topic=${topic}&from=earliest`)
      await expect.poll(() => reader.data).toEqual(lines.map((_, i) => `${i}`))
    })

    it('of thousands of items is published completely and in order', async () => {
      const topic = freshTopic()
      const count = runs(5000, 100_000)
      const lines = Array.from({ length: count }, (_, i) => `{"data":"${i}"}\n`).join('')
      expect(await json(await post(`/send?topic=${topic}`, lines, 'application/x-ndjson'))).toMatchObject({
        taken: count,
      })
      const { reader } = await stream(`/event?topic=${topic}&last=10000`)
      const last = Array.from(
        { length: Math.min(count, 10_000) },
        (_, i, { length } = { length: Math.min(count, 10_000) }) => `${count - length + i}`,
      )
      await expect.poll(() => reader.data.length, { timeout: 10_000 }).toBe(last.length)
      expect(reader.data).toEqual(last)
    })

    /** Bodies in pieces: each is an item up to the byte that completes it, or text that belongs to no item. */
    const bodies: [string, (readonly ['item' | 'none', string])[]][] = [
      [
        'application/x-ndjson',
        [
          ['item', '{"data":"1"}'],
          ['none', '\n\n'],
          ['item', '{"data":"é😀\\n"}'],
          ['none', '\r\n'],
          ['item', '{"data":{"n":[3]}}'],
          ['none', ' \n'],
        ],
      ],
      [
        'text/event-stream',
        [
          ['none', ': to begin with\n\n'],
          ['item', 'data: 1\n\n'],
          ['item', 'event: e\ndata: é😀\ndata\nid: 7\n\n'],
          ['none', '\n:'],
          ['none', '\n'],
          ['item', 'data:{"n":[3]}\r\n\r'],
          ['none', '\n: the end\r\n'],
        ],
      ],
    ]
    const DATA = ['1', 'é😀\n', '{"n":[3]}']
    for (const [type, pieces] of bodies)
      it(`of type ${type}, cut at any byte: the answer counts the complete items and says whether one is incomplete`, async () => {
        const topic = freshTopic()
        const bytes = new TextEncoder().encode(pieces.map(([, text]) => text).join(''))
        const ends: { isItem: boolean; end: number }[] = []
        for (const [what, text] of pieces)
          ends.push({ isItem: what === 'item', end: (ends.at(-1)?.end ?? 0) + new TextEncoder().encode(text).length })
        for (let cut = 0; cut <= bytes.length; cut++) {
          const taken = ends.filter(({ isItem, end }) => isItem && end <= cut).length
          const [piece] = ends.filter(({ end }) => end > cut)
          const begin = ends.findLast(({ end }) => end <= cut)?.end ?? 0
          const isIncomplete = piece?.isItem === true && cut > begin
          const answer = await json(await post(`/send?topic=${topic}/${cut}`, bytes.slice(0, cut), type))
          expect([cut, answer]).toEqual([
            cut,
            {
              taken,
              ...(isIncomplete && { incomplete: true }),
              lastId: taken === 0 ? null : expect.any(String),
              topic: `${topic}/${cut}`,
              durability: expect.any(String),
            },
          ])
          const poll = `/event?topic=${topic}/${cut}&from=earliest`
          const polled = await json(await fetch(poll, { headers: { accept: 'application/json' } }))
          const data = (polled.events as { data: string }[]).map((event) => event.data)
          expect([cut, data]).toEqual([cut, DATA.slice(0, taken)])
        }
      })

    const endings: [string, string, boolean][] = [
      ['application/x-ndjson', '{"data":"x"', true],
      ['application/x-ndjson', '{"data":"x"}', false],
      ['application/x-ndjson', ' \t', false],
      ['text/event-stream', 'data: x', true],
      ['text/event-stream', 'data: x\n', true],
      ['text/event-stream', 'data: x\r', true],
      ['text/event-stream', 'data\n: a comment\n', true],
      ['text/event-stream', 'data: x\n: a comment', true],
      ['text/event-stream', 'event: x\n', true],
      ['text/event-stream', 'id: 7\n', true],
      ['text/event-stream', 'd', true],
      ['text/event-stream', 'retry: 30', true],
      ['text/event-stream', 'retry: 3000\n', false],
      ['text/event-stream', 'event: x\n\n', false],
      ['text/event-stream', ': a comment', false],
      ['text/event-stream', ':\n\n:\n', false],
      ['text/event-stream', '\r\n\r\n', false],
    ]
    it('is incomplete when it ends inside an item, not after an item or inside a comment', async () => {
      const answers: [string, string, boolean][] = []
      for (const [type, text] of endings) {
        const whole = await json(await post(`/send?topic=${freshTopic()}`, text, type))
        const inPieces = upload(`/send?topic=${freshTopic()}`, type)
        for (const character of text) await inPieces.write(character)
        await inPieces.end()
        expect([text, (await json(await inPieces.answer)).incomplete]).toEqual([text, whole.incomplete])
        answers.push([type, text, whole.incomplete === true])
      }
      expect(answers).toEqual(endings)
    })

    it('is incomplete when it ends inside a character, also outside of items', async () => {
      const texts = [
        ['application/x-ndjson', '{"data":"x"}é'],
        ['application/x-ndjson', '{"data":"x"}\n😀'],
        ['text/event-stream', 'data: x\n\né'],
        ['text/event-stream', 'data: x\n\n: a comment é'],
      ] as const
      for (const [type, text] of texts) {
        const bytes = new TextEncoder().encode(text).slice(0, -1)
        const { taken, incomplete } = await json(await post(`/send?topic=${freshTopic()}`, bytes, type))
        expect([text, taken, incomplete]).toEqual([text, text.includes('\n') ? 1 : 0, true])
      }
    })

    it('is refused when its last item is too large, or invalid however it might continue', async () => {
      const refusals: [string, string | Uint8Array<ArrayBuffer>, number, string][] = [
        ['application/x-ndjson', '{"data":"x"\n', 400, 'body_invalid'],
        ['application/x-ndjson', `${'['.repeat(40)}${']'.repeat(40)}`, 400, 'body_invalid'],
        ['application/x-ndjson', new Uint8Array([0x22, 0xff, 0x22]), 400, 'encoding_invalid'],
        ...['no JSON', "{'data':'x'}", '{"data":"x"}}', '{"data":"x",}', '{data:1}'].map(
          (text): [string, string, number, string] => ['application/x-ndjson', text, 400, 'body_invalid'],
        ),
        ['application/x-ndjson', `"${'x'.repeat(100 * KIB)}`, 413, 'body_too_large'],
        ['text/event-stream', new Uint8Array([0x64, 0xff, 0x22]), 400, 'encoding_invalid'],
        ['text/event-stream', `data: ${'x'.repeat(100 * KIB)}`, 413, 'body_too_large'],
      ]
      for (const [type, body, status, code] of refusals)
        await expectProblem(await post('/send?topic=a', body, type), status, code)
    })

    it('that is incomplete gets the full answer, also under Prefer: return=minimal', async () => {
      const topic = freshTopic()
      const headers = { 'content-type': 'application/x-ndjson', prefer: 'return=minimal', 'idempotency-key': 'K' }
      const send = (body: string) => fetch(`/send?topic=${topic}`, { method: 'POST', headers, body })
      const cut = await send('{"data":"1"}\n{"data":"')
      expect([cut.status, cut.headers.get('preference-applied')]).toEqual([200, null])
      const { lastId, ...answer } = await json(cut)
      expect(answer).toMatchObject({ taken: 1, incomplete: true })
      const whole = await send('{"data":"1"}\n{"data":"2"}\n')
      expect([whole.status, whole.headers.get('preference-applied')]).toEqual([204, 'return=minimal'])
      expect(whole.headers.get('tidings-id')).not.toBe(lastId)
      expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({ kept: 2 })
    })

    it('without items is answered with taken: 0', async () => {
      for (const type of ['application/x-ndjson', 'text/event-stream'])
        expect(await json(await post('/send?topic=a', '\n', type))).toMatchObject({ taken: 0, lastId: null })
    })
  })

  describe(`over ${target.name}, a long poll`, () => {
    const poll = async (query: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`/event?${query}`, { headers: { accept: 'application/json', ...headers } })
      expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store'])
      return (await response.json()) as { events: { data: string }[]; position: string }
    }

    it('answers at once with the events after its position, and the next one continues from there', async () => {
      const topic = freshTopic()
      const ids = await publish(topic, '1', '2')
      await publish('other', 'x')
      await postJson(`/send?topic=${topic}`, { data: '3', event: 'e' })
      const first = await poll(`topic=${topic}&lastEventId=${ids[0]}&wait=20`)
      expect(first.events).toEqual([
        { id: ids[1], event: 'message', data: '2' },
        { id: expect.any(String), event: 'e', data: '3' },
      ])
      expect(await poll(`topic=${topic}`, { 'last-event-id': first.position })).toEqual({
        events: [],
        position: expect.any(String),
      })
      expect((await poll(`topic=${topic}&last=2`)).events.map(({ data }) => data)).toEqual(['2', '3'])
      expect((await poll(`topic=${topic}&from=earliest&latest=true`)).events.map(({ data }) => data)).toEqual(['3'])
    })

    it('waits for the next event, but no longer than wait', async () => {
      const topic = freshTopic()
      const { position } = await poll(`topic=${topic}`)
      const waiting = poll(`topic=${topic}&wait=30&lastEventId=${position}`)
      await expect.poll(async () => (await json(await fetch(`/topics/${topic}`))).readers).toBe(1)
      const [id] = await publish(topic, 'now')
      expect(await waiting).toEqual({ events: [{ id, event: 'message', data: 'now' }], position: id })
      const began = performance.now()
      expect((await poll(`topic=${topic}&wait=1&lastEventId=${id}`)).events).toEqual([])
      expect(performance.now() - began).toBeGreaterThan(900)
      await expect.poll(async () => (await json(await fetch(`/topics/${topic}`))).readers).toBe(0)
    })

    it('waits although one of its topics was closed before its position, and lists that topic', async () => {
      const topic = freshTopic()
      const both = `topic=${topic}/open&topic=${topic}/closed`
      const { id } = await json(await postJson(`/send?topic=${topic}/closed`, { close: true }))
      const began = performance.now()
      const first = await poll(`${both}&wait=20`)
      expect(first).toMatchObject({ events: [], closed: [`${topic}/closed`] })
      const told = performance.now()
      expect(told - began).toBeLessThan(10_000)
      expect(await poll(`${both}&wait=1&lastEventId=${id}`)).toMatchObject({ events: [], closed: [`${topic}/closed`] })
      expect(performance.now() - told).toBeGreaterThan(900)
    })

    it('returns a position at the head when no event matches', async () => {
      const topic = freshTopic()
      const [id] = await publish(topic, 'x')
      const [later] = await publish('other', 'y')
      const { events, position } = await poll(`topic=${topic}&lastEventId=${id}`)
      const seq = (text: string) => Number(text.split('-')[1])
      expect(events).toEqual([])
      expect(seq(position)).toBeGreaterThanOrEqual(seq(later!))
    })

    it('reports a gap and a close', async () => {
      const topic = freshTopic()
      await publish(topic, '1')
      expect(await poll(`topic=${topic}&lastEventId=zzzzzzzzzz-3&wait=20`)).toMatchObject({
        events: [{ data: '1' }],
        gaps: [{ reason: 'epoch', from: 'zzzzzzzzzz-3' }],
      })
      const { id } = await json(await postJson(`/send?topic=${topic}`, { data: 'end', close: true }))
      const last = await poll(`topic=${topic}&last=1&wait=20`)
      expect(last).toMatchObject({ events: [{ data: 'end', id }], closed: [topic], position: id })
      expect(await poll(`topic=${topic}&lastEventId=${id}&wait=20`)).toEqual({
        events: [],
        position: id,
        closed: [topic],
      })
    })

    it('reports every gap, in order; gap is the first of them', async () => {
      const topic = freshTopic()
      const [passed] = await publish(topic, '1', '2')
      const answer = await poll(`topic=${topic}&latest=true&gaps=true&lastEventId=zzzzzzzzzz-3`)
      expect(answer).toMatchObject({
        events: [{ data: '2' }],
        gaps: [{ reason: 'epoch' }, { reason: 'conflated', to: passed }],
        gap: { reason: 'epoch' },
      })
      expect(await poll(`topic=${topic}&from=earliest`)).not.toHaveProperty('gaps')
    })

    it('delivers a long history completely over several answers', async () => {
      const topic = freshTopic()
      const data = Array.from({ length: 40 }, (_, i) => `${i} ${'x'.repeat(20_000)}`)
      for (const one of data) await post(`/send?topic=${topic}`, one, 'text/plain')
      const got: string[] = []
      let query = 'from=earliest'
      for (let answers = 0; got.length < 40 && answers < 20; answers++) {
        const { events, position } = await poll(`topic=${topic}&${query}`)
        got.push(...events.map((event) => event.data))
        query = `lastEventId=${position}`
      }
      expect(got).toEqual(data)
    })

    it('without a topic answers with the value of the demo', async () => {
      await fetch('/send?message=polled')
      const { events } = await poll('')
      expect(JSON.parse(events[0]!.data).message).toBe('polled')
    })
  })

  describe(`over ${target.name}, /topics`, () => {
    it('lists topics by prefix or pattern, a page at a time', async () => {
      const topic = freshTopic()
      for (const name of ['c', 'a', 'b/x']) await publish(`${topic}/${name}`, '1', '2')
      const names = async (query: string) => {
        const { topics, next } = await json(await fetch(`/topics?${query}`))
        return [
          (topics as { topic: string }[]).map((one) => one.topic.slice(topic.length + 1)),
          (next as string)?.slice(topic.length + 1),
        ]
      }
      expect(await names(`prefix=${topic}/`)).toEqual([['a', 'b/x', 'c'], undefined])
      expect(await names(`topic=${topic}/*`)).toEqual([['a', 'c'], undefined])
      expect(await names(`topic=${topic}/b/x`)).toEqual([['b/x'], undefined])
      expect(await names(`prefix=${topic}/&limit=2`)).toEqual([['a', 'b/x'], 'b/x'])
      expect(await names(`prefix=${topic}/&limit=2&after=${topic}/b/x`)).toEqual([['c'], undefined])
      expect(await names(`prefix=${topic}/none`)).toEqual([[], undefined])
      await fetch('/send?message=x')
      const all = (await json(await fetch('/topics?limit=1000'))).topics as { topic: string }[]
      expect(all.some((one) => one.topic.startsWith('$'))).toBe(false)
      expect(await json(await fetch('/topics?topic=$store'))).toMatchObject({ topics: [{ topic: '$store' }] })
      for (const query of ['limit=0', 'limit=1001', 'limit=x', 'topic=a&prefix=b'])
        await expectProblem(await fetch(`/topics?${query}`), 400, 'parameter_invalid')
    })

    it('describes one topic: its newest id, kept events, readers, and whether it is closed', async () => {
      const topic = freshTopic()
      expect(await json(await fetch(`/topics/${topic}`))).toEqual({
        topic,
        lastId: null,
        kept: 0,
        readers: 0,
        closed: false,
      })
      await stream(`/event?topic=${topic}`)
      await stream(`/event?topic=${topic.split('/')[0]}/*&latest=true`)
      const [, id] = await publish(topic, '1', '2')
      expect(await json(await fetch(`/topics/${topic}`))).toEqual({
        topic,
        lastId: id,
        kept: 2,
        readers: 2,
        closed: false,
      })
      expect(await json(await fetch(`/topics/${encodeURIComponent(topic)}`))).toMatchObject({ topic })
      expect(await json(await fetch(`/%74opics/${topic}`))).toMatchObject({ topic })
      await expectProblem(await fetch('/topics/a*'), 400, 'topic_invalid')
      await expectProblem(await fetch('/topics/a', { method: 'POST' }), 405, 'method_not_allowed')
    })

    it('erases one event: readers get the others without a gap, and its id stays taken', async () => {
      const topic = freshTopic()
      const ids = await publish(topic, '1', 'secret', '3')
      const response = await fetch(`/topics/${topic}/${ids[1]}`, { method: 'DELETE' })
      expect(await json(response)).toEqual({ topic, id: ids[1], erased: 1 })
      const { reader } = await stream(`/event?topic=${topic}`, { 'last-event-id': ids[0]! })
      await reader.gets('3')
      expect(reader.control('gap')).toEqual([])
      expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({ kept: 2, lastId: ids[2] })
      await expectProblem(await fetch(`/topics/${topic}/${ids[1]}`, { method: 'DELETE' }), 404, 'nothing_to_delete')
      await expectProblem(
        await fetch(`/topics/${freshTopic()}/${ids[2]}`, { method: 'DELETE' }),
        404,
        'nothing_to_delete',
      )
    })

    it('deletes a topic: readers that were behind get a gap, and the topic can be published to again', async () => {
      const topic = freshTopic()
      const ids = await publish(topic, '1', '2')
      await postJson(`/send?topic=${topic}`, { data: '3', close: true })
      expect(await json(await fetch(`/topics/${topic}`, { method: 'DELETE' }))).toEqual({ topic, erased: 3 })
      await publish(topic, 'new')
      const { reader } = await stream(`/event?topic=${topic}`, { 'last-event-id': ids[0]! })
      await reader.gets('new')
      expect(reader.control('gap')).toMatchObject([{ reason: 'trimmed', from: ids[0], exact: true }])
      const { reader: fresh } = await stream(`/event?topic=${topic}&from=earliest`)
      await fresh.gets('new')
      const refused: [string, RequestInit, number, string][] = [
        [freshTopic(), {}, 404, 'nothing_to_delete'],
        ['$store', {}, 403, 'forbidden'],
        [topic, { headers: { 'sec-fetch-site': 'cross-site' } }, 403, 'cross_site'],
        [`${topic}/zzzzzzzzzz-1`, {}, 404, 'nothing_to_delete'],
        ['%ff', {}, 400, 'encoding_invalid'],
      ]
      for (const [name, init, status, code] of refused)
        await expectProblem(await fetch(`/topics/${name}`, { ...init, method: 'DELETE' }), status, code)
      expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({ kept: 1 })
    })
  })

  describe(`over ${target.name}, an open stream`, () => {
    it('has the headers that keep proxies and browsers from caching, buffering or sniffing it', async () => {
      for (const path of ['/event', '/event?topic=a']) {
        for (const method of ['GET', 'HEAD']) {
          const abort = new AbortController()
          const { status, headers } = await fetch(path, { method, signal: abort.signal })
          abort.abort()
          expect([path, method, status]).toEqual([path, method, 200])
          expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
          expect(headers.get('cache-control')).toBe('no-store, no-transform')
          expect(headers.get('x-accel-buffering')).toBe('no')
          expect(headers.get('x-content-type-options')).toBe('nosniff')
          expect(headers.get('referrer-policy')).toBe('no-referrer')
          if (method === 'GET') expect(headers.get('content-length')).toBeNull() // some runtimes send 0 for HEAD
          expect(headers.get('content-encoding')).toBeNull()
        }
      }
    })

    it('is counted until its reader disconnects, and HEAD is never counted', async () => {
      await expect.poll(readers, { timeout: target.goneWithinMs ?? 5000 }).toBe(before)
      const all = await Promise.all(Array.from({ length: 10 }, (_, i) => stream(i % 2 ? '/event' : '/event?topic=a')))
      await Promise.all(all.map(({ reader }) => expect.poll(() => reader.events.length).toBeGreaterThan(0)))
      for (let i = 0; i < 10; i++) await fetch(i % 2 ? '/event' : '/event?topic=a', { method: 'HEAD' })
      expect(await readers()).toBe(before + 10)
      for (const { close } of all) close()
      await expect.poll(readers, { timeout: target.goneWithinMs ?? 5000 }).toBe(before)
    })

    it('can be given other topics by its name, stays open, and misses nothing', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}/a`)
      await publish(`${topic}/a`, '1')
      await reader.gets('1')
      const name = reader.control('open')[0]!.stream as string
      const topics = [`${topic}/b`, `${topic}/c/*`]
      expect(await json(await postJson(`/streams/${name}`, { topics }))).toEqual({ stream: name, topics })
      await publish(`${topic}/a`, 'not any more')
      await publish(`${topic}/b`, '2')
      await publish(`${topic}/c/d`, '3')
      await reader.gets('1', '2', '3')
      expect(reader.control('gap')).toEqual([])
      await expectProblem(await postJson(`/streams/${name}`, { topics: ['a b'] }), 400, 'topic_invalid')
      await expectProblem(await postJson(`/streams/${name}`, { topics: [] }), 400, 'body_invalid')
      await expectProblem(await postJson('/streams/0', { topics: ['a'] }), 404, 'stream_unknown')
      await publish(`${topic}/b`, '4')
      await reader.gets('1', '2', '3', '4')
    })

    it('delivers everything to a reader that starts to read late', async () => {
      const topic = freshTopic()
      const abort = new AbortController()
      const response = await fetch(`/event?topic=${topic}`, { signal: abort.signal })
      const data = Array.from({ length: 50 }, (_, i) => `${i} ${'x'.repeat(20_000)}`)
      await Promise.all(data.map((one) => post(`/send?topic=${topic}`, one, 'text/plain')))
      const reader = new Reader().follow(chunks(response))
      await expect.poll(() => reader.data.length, { timeout: 10_000 }).toBe(50)
      expect(new Set(reader.data)).toEqual(new Set(data))
      abort.abort()
    })
  })

  describe(`over ${target.name}, the hub itself`, () => {
    it('says at /health and /ready that the hub is alive and ready', async () => {
      expect(await json(await fetch('/health'))).toEqual({ status: 'ok' })
      expect(await json(await fetch('/ready'))).toEqual({
        status: 'ready',
        durability: expect.any(String),
        readers: expect.any(Number),
      })
    })

    it('describes itself: every answer so far matches /openapi.json, and a page shows it', async (skip) => {
      expect(description!.checked).toBeGreaterThan(100)
      const response = await fetch('/docs')
      skip(response.status === 404, 'the page is left out of the Workers bundle')
      const html = await response.text()
      for (const [, path] of html.matchAll(/(?:src|href)="(\/[^"]+)"/g))
        expect([path, (await fetch(path!)).status]).toEqual([path, 200])
    })

    it('answers no random request with a 5xx, and each refusal with a problem and its code', async () => {
      const path = fc.constantFrom('/send', '/event', '/', '/ready', '/topics', '/topics/a', '/topics/$x/%00')
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
            const response = await fetch(`${at}?${new URLSearchParams(pairs)}`, {
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

async function* chunks(response: Response): AsyncIterable<Uint8Array> {
  if (response.body) yield* response.body
}

/** A form with this number of values, one of which is a message. */
function formOf<Form extends FormData | URLSearchParams>(type: new () => Form, values: number): Form {
  const form = new type()
  form.append('message', `one of ${values}`)
  for (let i = 1; i < values; i++) form.append('f', 'x')
  return form
}

/** Names that clients and polyfills add so that no cache answers. */
const CACHE_BREAKERS = [
  '_',
  't',
  'ts',
  'r',
  'cb',
  'v',
  'rand',
  'random',
  'nocache',
  'no-cache',
  'cache_buster',
  'timestamp',
]

/** Bodies that declare ISO-8859-1. Nobody who respects the declared charset reads their bytes as UTF-8. */
const DECLARED_AS_LATIN1: [kind: string, type: string, body: string][] = [
  ['JSON', 'application/json; charset=iso-8859-1', '{"data":"Gr\\u00fc\xdfe"}'],
  ['plain text', 'text/plain; charset="ISO-8859-1"', 'Gruesse'],
  ['plain text in a second declaration', 'text/plain; charset=utf-8; x="; charset=utf-8"; CHARSET=utf-16', 'Gruesse'],
  ['a url-encoded form', 'application/x-www-form-urlencoded;charset=windows-1252', 'data=Gruesse'],
  ['a multipart form', 'multipart/form-data; boundary=x; charset=latin1', multipart('x')],
  [
    'a part of a multipart form',
    'multipart/form-data; boundary=x',
    multipart('x').replace('\r\n\r\n', '\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n'),
  ],
  ['NDJSON', 'application/x-ndjson; charset=iso-8859-1', '{"data":"Gruesse"}\n'],
  ['an event stream', 'text/event-stream; charset=iso-8859-1', 'data: Gruesse\n\n'],
]

function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

function multipart(boundary: string): string {
  return `--${boundary}\r\nContent-Disposition: form-data; name="message"\r\n\r\nin parts\r\n--${boundary}--\r\n`
}

/** A body of more than 80 KiB that arrives in pieces without a Content-Length. */
function unannounced(begin = ''): ReadableStream<Uint8Array> {
  let left = 6
  return new ReadableStream({
    pull(controller) {
      if (left-- === 6) controller.enqueue(new TextEncoder().encode(begin || ' '))
      else if (left >= 0) controller.enqueue(new Uint8Array(16 * KIB).fill(32))
      else controller.close()
    },
  })
}
