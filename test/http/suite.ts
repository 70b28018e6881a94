import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Reader } from '../reader.ts'
import { runs, seed } from '../seed.ts'

/** Something that answers like `fetch`, given a path. */
export interface Target {
  readonly name: string
  fetch(path: string, init?: RequestInit & { duplex?: 'half' }): Promise<Response>
  /** How long a reader that vanished may be counted: two heartbeats. 5 s unless told otherwise. */
  readonly goneWithinMs?: number
  /** Cases that this target cannot hold, by title, with the reason. */
  readonly skip?: Readonly<Record<string, string>>
}

interface Stream {
  readonly response: Response
  readonly reader: Reader
  close(): void
}

const KIB = 1024
const DEFAULT = 'This is a server-sent event'

/** Everything promised over HTTP, for any runtime: it needs no more than a way to ask. */
export function httpSuite(target: Target): void {
  const open: Stream[] = []
  let topics = 0
  let before = 0

  const fetch = (path: string, init?: RequestInit) => target.fetch(path, init)
  const json = async (response: Response) => (await response.json()) as Record<string, unknown>
  const freshTopic = () => `t/${Date.now().toString(36)}-${topics++}`
  const post = (path: string, body: BodyInit, type?: string) =>
    fetch(path, { method: 'POST', body, ...(type && { headers: { 'content-type': type } }) })
  const postJson = (path: string, value: unknown) => post(path, JSON.stringify(value), 'application/json')
  const publish = async (topic: string, ...data: string[]) => {
    const ids: string[] = []
    for (const one of data) ids.push((await json(await postJson(`/send?topic=${topic}`, { data: one }))).id as string)
    return ids
  }

  async function stream(path: string, headers: Record<string, string> = {}): Promise<Stream> {
    const abort = new AbortController()
    const response = await fetch(path, { headers: { accept: 'text/event-stream', ...headers }, signal: abort.signal })
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
    expect(problem).toEqual({
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
  })

  afterEach(() => {
    for (const { close } of open.splice(0)) close()
  })

  describe(`over ${target.name}, the seed`, () => {
    it('streams the default message at <epoch>-0 before anything was sent', async (skip) => {
      const { reader } = await stream('/event')
      await expect.poll(() => reader.events.length).toBeGreaterThan(0)
      skip(messages(reader)[0] !== DEFAULT, 'something was sent to this hub before')
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
      const sources = await Promise.all(scripts.map(async (src) => (await fetch(src)).text()))
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

    it('answers anything else with the text 404', async () => {
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
        pathname: '/send',
        id: expect.stringMatching(/^[a-z0-9]{10}-\d+$/),
      })
      expect(await current()).toBe('hello you')
    })

    const form = new FormData()
    form.append('message', 'by multipart')
    form.append('tag', 'a')
    form.append('tag', 'b')
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
    ]
    for (const [kind, send, body] of bodies)
      it(`sets the store by POST with ${kind}`, async () => {
        const response = await send()
        expect(await json(response)).toEqual({ query: {}, body, pathname: '/send', id: expect.any(String) })
        expect(await current()).toBe(body.message)
      })

    it('takes the message of the query before that of the body', async () => {
      expect(await json(await postJson('/send?message=query', { message: 'body' }))).toMatchObject({
        body: { message: 'body' },
      })
      expect(await current()).toBe('query')
    })

    it('takes an empty message, and a POST without a body', async () => {
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

    it('streams to everybody who listens', async () => {
      const all = await Promise.all(Array.from({ length: 5 }, () => stream('/event')))
      await Promise.all(all.map(({ reader }) => expect.poll(() => reader.events.length).toBeGreaterThan(0)))
      await fetch('/send?message=everybody')
      await Promise.all(all.map(({ reader }) => expect.poll(() => messages(reader)).toContain('everybody')))
    })

    it('gives a reader that comes back what it missed, in order, and then the newest again', async () => {
      const { id } = await json(await fetch('/send?message=0'))
      for (const message of ['1', '2', '3']) await fetch(`/send?message=${message}`)
      const { reader } = await stream('/event', { 'last-event-id': id as string })
      await expect.poll(() => messages(reader).slice(0, 4)).toEqual(['1', '2', '3', '3'])
      expect(reader.events.slice(0, 4).map(({ id }) => id !== undefined)).toEqual([true, true, true, false])
      expect(reader.control('open')).toEqual([])
    })

    it('has no message, no stream and no answer that ends a frame early', async () => {
      const message = 'a\nb\r\ndata: c\n\nevent: hub.gap\ndata: {}\n\n\u2028<img src=x onerror=alert(1)>'
      await postJson('/send', { message })
      expect(await current()).toBe(message)
    })
  })

  describe(`over ${target.name}, /send decides`, () => {
    const refused: [string, () => Promise<Response>, number, string][] = [
      ['nothing at all', () => fetch('/send'), 400, 'message_missing'],
      ['a POST of nothing', () => fetch('/send', { method: 'POST' }), 400, 'message_missing'],
      ['JSON without a message', () => postJson('/send', { text: 'x' }), 400, 'message_missing'],
      ['a message given twice', () => fetch('/send?message=a&message=b'), 400, 'parameter_repeated'],
      [
        'a message given twice in a form',
        () => post('/send', new URLSearchParams('message=a&message=b')),
        400,
        'parameter_repeated',
      ],
      ['a message that is no string', () => postJson('/send', { message: 5 }), 400, 'message_invalid'],
      ['a JSON list', () => postJson('/send', ['x']), 400, 'body_invalid'],
      ['malformed JSON', () => post('/send', '{"message":', 'application/json'), 400, 'body_invalid'],
      [
        'JSON nested very deep',
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
      ['a broken multipart form', () => post('/send', 'x', 'multipart/form-data; boundary=y'), 400, 'body_invalid'],
      [
        'a body of more than 64 KiB',
        () => post('/send', JSON.stringify({ message: 'x', pad: 'y'.repeat(64 * KIB) }), 'application/json'),
        413,
        'body_too_large',
      ],
      [
        'a body of more than 64 KiB that does not say its length',
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
      ['a topic that is no string', () => postJson('/send', { topic: ['a'], data: 'x' }), 400, 'topic_invalid'],
      ['no data', () => postJson('/send?topic=a', {}), 400, 'data_missing'],
      ['no body', () => fetch('/send?topic=a', { method: 'POST' }), 400, 'data_missing'],
      ['data that is no string', () => postJson('/send?topic=a', { data: 5 }), 400, 'body_invalid'],
      ['an unknown field', () => postJson('/send?topic=a', { data: 'x', evnet: 'y' }), 400, 'field_unknown'],
      ['a list of messages, which comes later', () => postJson('/send?topic=a', [{ data: 'x' }]), 400, 'body_invalid'],
      [
        'an event name with a line end',
        () => postJson('/send?topic=a', { data: 'x', event: 'a\nb' }),
        400,
        'event_invalid',
      ],
      [
        'an event name that is no string',
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
        'a retry that would inject',
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
      ['a topic of 201 bytes', () => post(`/send?topic=${'x'.repeat(201)}`, 'x', 'text/plain'), 400, 'topic_invalid'],
      ['another method', () => fetch('/send?message=x', { method: 'DELETE' }), 405, 'method_not_allowed'],
      [
        'a GET from another site',
        () => fetch('/send?message=x', { headers: { 'sec-fetch-site': 'cross-site' } }),
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
        'a POST of an old browser from another origin',
        () => fetch('/send?message=x', { method: 'POST', headers: { origin: 'https://evil.example' } }),
        403,
        'cross_site',
      ],
      [
        'a POST of origin null',
        () => fetch('/send?message=x', { method: 'POST', headers: { origin: 'null' } }),
        403,
        'cross_site',
      ],
    ]
    for (const [what, send, status, code] of refused)
      it(`to refuse ${what}: ${status} ${code}, and changes nothing`, async () => {
        await fetch('/send?message=untouched')
        const { reader } = await stream('/event?topic=**')
        await expect.poll(() => reader.events.length).toBe(1)
        const problem = await expectProblem(await send(), status, code)
        const [, lines] = [await publish('after', 'x'), reader]
        await expect.poll(() => lines.data).toEqual(['x'])
        expect(await current()).toBe('untouched')
        expect(JSON.stringify(problem).length).toBeLessThan(1000)
      })

    it('to change nothing for HEAD', async () => {
      await fetch('/send?message=untouched')
      const response = await fetch('/send?message=x', { method: 'HEAD' })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST'])
      expect(await current()).toBe('untouched')
    })

    it('to take from a page of its own what it would refuse from others', async () => {
      const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }
      expect((await fetch('/send', { method: 'POST', headers, body: '{"message":"own"}' })).status).toBe(200)
    })

    it('to say with a 405 what is allowed', async () => {
      expect((await fetch('/send?topic=a')).headers.get('allow')).toBe('POST')
      const response = await fetch('/event', { method: 'POST' })
      expect(response.headers.get('allow')).toBe('GET, HEAD')
      await expectProblem(response, 405, 'method_not_allowed')
    })
  })

  describe(`over ${target.name}, topics`, () => {
    it('carry what is published as JSON, with its event name, retry and id', async () => {
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

    it('carry plain text, and take their name from the body as well', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      await post(`/send?topic=${topic}`, ' two\nlines ', 'text/plain; charset=utf-8')
      await postJson('/send', { topic, data: '' })
      await reader.gets(' two\nlines ', '')
    })

    it('carry data of exactly 60 KiB', async () => {
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

    it('are told apart: exact ones, patterns, and both on one stream, each event once', async () => {
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

    it('resume after a Last-Event-ID, by header or by query, the header first', async () => {
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

    it('resume where a reader left, again and again, each event once', async () => {
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
      ['a very long one', () => 'x'.repeat(4000), 'unknown'],
      ['one of another epoch', () => 'zzzzzzzzzz-3', 'epoch'],
      ['one ahead of the log', (epoch) => `${epoch}-9007199254740991`, 'ahead'],
      ['one beyond all numbers', (epoch) => `${epoch}-18446744073709551616`, 'unknown'],
      ['a negative one', (epoch) => `${epoch}--1`, 'unknown'],
    ]
    for (const [what, position, reason] of strangers)
      it(`answer a Last-Event-ID that is ${what} with hub.gap (${reason}) and go on`, async () => {
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

    it('treat an empty Last-Event-ID as none', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}&lastEventId=`, { 'last-event-id': '' })
      await expect.poll(() => reader.control('open')).toMatchObject([{ state: 'live' }])
    })

    it('give a key its first id again, and refuse it for something else', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const first = await json(await postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }))
      const again = await json(await postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }))
      expect(again).toEqual({ ...first, duplicate: true })
      await expectProblem(await postJson(`/send?topic=${topic}`, { data: 'y', key: 'k' }), 409, 'key_conflict')
      await publish(topic, 'end')
      await reader.gets('x', 'end')
    })

    it('give a hundred racing publishes with one key one id', async () => {
      const topic = freshTopic()
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }).then(json)),
      )
      expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
      expect(answers.filter(({ duplicate }) => duplicate !== true)).toHaveLength(1)
    })

    it('are seen by all readers in one order, whoever published', async () => {
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

    it('say the newest again without an id when asked to repeat', async () => {
      const topic = freshTopic()
      await publish(topic, 'x')
      const { reader } = await stream(`/event?topic=${topic}&repeat=1000`)
      await expect.poll(() => reader.data, { timeout: 4000 }).toEqual(['x', 'x'])
      expect(reader.events.slice(1).map(({ id }) => id)).toEqual([undefined, undefined])
    })

    const refused: [string, string, string][] = [
      ['a name with a space', 'topic=a%20b', 'topic_invalid'],
      ['an empty name', 'topic=', 'topic_invalid'],
      ['a bad pattern', 'topic=a/**/b', 'pattern_invalid'],
      ['101 topics', Array.from({ length: 101 }, (_, i) => `topic=t/${i}`).join('&'), 'too_many_topics'],
      ['two positions', 'topic=a&lastEventId=x-1&lastEventId=x-2', 'parameter_repeated'],
      ['two positions by two names', 'topic=a&lastEventId=x-1&last_event_id=x-2', 'parameter_repeated'],
      ['repeat out of bounds', 'topic=a&repeat=10', 'parameter_invalid'],
      ['repeat of no number', 'topic=a&repeat=often', 'parameter_invalid'],
      ['repeat of a pattern', 'topic=a/*&repeat=1000', 'parameter_invalid'],
      ['repeat of two topics', 'topic=a&topic=b&repeat=1000', 'parameter_invalid'],
      ['repeat of no topic', 'repeat=1000', 'parameter_invalid'],
      ['history that is not offered yet', 'topic=a&last=10', 'parameter_unknown'],
      ['a query that is not UTF-8', 'topic=%c3%28', 'encoding_invalid'],
    ]
    for (const [what, query, code] of refused)
      it(`refuse ${what}: 400 ${code}`, async () => {
        await expectProblem(await fetch(`/event?${query}`), 400, code)
      })
  })

  describe(`over ${target.name}, a stream`, () => {
    it('has the headers that keep proxies and browsers from spoiling it', async () => {
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
          if (method === 'GET') expect(headers.get('content-length')).toBeNull() // of a HEAD some runtimes say 0
          expect(headers.get('content-encoding')).toBeNull()
        }
      }
    })

    it('is gone from the hub when its reader is, and HEAD never was there', async () => {
      await expect.poll(readers, { timeout: target.goneWithinMs ?? 5000 }).toBe(before)
      const all = await Promise.all(Array.from({ length: 10 }, (_, i) => stream(i % 2 ? '/event' : '/event?topic=a')))
      await Promise.all(all.map(({ reader }) => expect.poll(() => reader.events.length).toBeGreaterThan(0)))
      for (let i = 0; i < 10; i++) await fetch(i % 2 ? '/event' : '/event?topic=a', { method: 'HEAD' })
      expect(await readers()).toBe(before + 10)
      for (const { close } of all) close()
      await expect.poll(readers, { timeout: target.goneWithinMs ?? 5000 }).toBe(before)
    })

    it('gives a reader that reads late everything, in order', async () => {
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

  describe(`over ${target.name}, the rest`, () => {
    it('says that it is alive and ready', async () => {
      expect(await json(await fetch('/health'))).toEqual({ status: 'ok' })
      expect(await json(await fetch('/ready'))).toEqual({
        status: 'ready',
        durability: expect.any(String),
        readers: expect.any(Number),
      })
    })

    it('never answers 500, and explains every refusal, whatever it is sent', async () => {
      const path = fc.constantFrom('/send', '/event', '/', '/ready')
      const pair = fc.tuple(
        fc.constantFrom('topic', 'message', 'data', 'repeat', 'lastEventId', '__proto__', 'x'),
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
        'APPLICATION/JSON ; charset=UTF-8',
        '',
        ';;',
        '*/*',
      )
      await fc.assert(
        fc.asyncProperty(
          path,
          fc.array(pair, { maxLength: 4 }),
          fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS'),
          body,
          type,
          async (at, pairs, method, text, contentType) => {
            const abort = new AbortController()
            const hasBody = method === 'POST' || method === 'PUT'
            const response = await fetch(`${at}?${new URLSearchParams(pairs)}`, {
              method,
              signal: abort.signal,
              ...(hasBody && { body: text, headers: { 'content-type': contentType } }),
            })
            expect(response.status).toBeLessThan(500)
            const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
            if (!isStream && response.status >= 400 && response.status !== 404 && method !== 'HEAD') {
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

/** 80 KiB that come in pieces and do not say so before. */
function unannounced(): ReadableStream<Uint8Array> {
  let left = 5
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(16 * KIB).fill(32))
      else controller.close()
    },
  })
}
