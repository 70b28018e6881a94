import { expect } from 'vitest'
import { formOf, multipart } from './bodies.ts'
import type { Client } from './client.ts'

const KIB = 1024
const DEFAULT = 'This is a server-sent event'

/** Tests the demo of the original request: its page, its store, its stream. */
export function demo({
  group,
  mountedAt,
  fetch,
  fetchUnchecked,
  json,
  post,
  postJson,
  stream,
  messages,
  current,
  it,
  everywhere,
}: Client): void {
  group('the demo', () => {
    everywhere('streams the default message at <epoch>-0 before anything was sent', async (skip) => {
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
      const sources: string[] = []
      const paths = scripts.map((src) => `/${src}`)
      for (const path of paths) {
        const module = await fetch(path)
        expect([path, module.status]).toEqual([path, 200])
        sources.push(await module.text())
        for (const [, name] of sources.at(-1)!.matchAll(/from '\.\/([^']+\.js)'/g))
          if (!paths.includes(`/${name}`)) paths.push(`/${name}`)
      }
      expect(sources.join()).toContain('new EventSource(')
      expect(sources.join()).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write/)
    })

    everywhere('answers any other path with 404 as plain text', async () => {
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

    everywhere('sets the store by GET and answers query, body and pathname', async () => {
      const response = await fetch('/send?message=hello%20you&x=1&x=2')
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toMatch(/^application\/json/)
      expect(await json(response)).toEqual({
        query: { message: 'hello you', x: ['1', '2'] },
        body: {},
        pathname: `${mountedAt}/send`,
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
      everywhere(`sets the store by POST with ${kind}`, async () => {
        const response = await send()
        expect(await json(response)).toEqual({
          query: {},
          body,
          pathname: `${mountedAt}/send`,
          id: expect.any(String),
        })
        expect(await current()).toBe(body.message)
      })

    everywhere(
      'refuses a body that is too large once it has been sent, because a sender that still writes could miss the answer',
      async () => {
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
        const response = await fetchUnchecked('/send', { method: 'POST', body, headers, duplex: 'half' })
        expect([response.status, isSent]).toEqual([413, true])
      },
    )

    it('prefers the message in the query to the message in the body', async () => {
      expect(await json(await postJson('/send?message=query', { message: 'body' }))).toMatchObject({
        body: { message: 'body' },
      })
      expect(await current()).toBe('query')
    })

    everywhere('accepts an empty message, and a POST without a body', async () => {
      expect((await fetch('/send?message=', { method: 'POST' })).status).toBe(200)
      expect(await current()).toBe('')
    })

    everywhere('streams the current value at once, then every second, and at once when it changes', async () => {
      await fetch('/send?message=one')
      const { reader } = await stream('/event')
      await expect.poll(() => reader.events.length, { timeout: 5000, interval: 20 }).toBe(3)
      await fetch('/send?message=two')
      await expect.poll(() => messages(reader), { interval: 5 }).toEqual(['one', 'one', 'one', 'two'])
      const ids = reader.events.map(({ id }) => id !== undefined)
      expect(ids).toEqual([true, false, false, true])
      expect(reader.events.every(({ event }) => event === 'message')).toBe(true)
    })

    everywhere('streams a new value to every reader', async () => {
      const all = await Promise.all(Array.from({ length: 5 }, () => stream('/event')))
      await Promise.all(all.map(({ reader }) => expect.poll(() => reader.events.length).toBeGreaterThan(0)))
      await fetch('/send?message=everybody')
      await Promise.all(all.map(({ reader }) => expect.poll(() => messages(reader)).toContain('everybody')))
    })

    everywhere('sends a returning reader what it missed, in order, and then repeats the newest value', async () => {
      const { id } = await json(await fetch('/send?message=0'))
      for (const message of ['1', '2', '3']) await fetch(`/send?message=${message}`)
      const { reader } = await stream('/event', { 'last-event-id': id as string })
      await expect.poll(() => messages(reader).slice(0, 4)).toEqual(['1', '2', '3', '3'])
      expect(reader.events.slice(0, 4).map(({ id }) => id !== undefined)).toEqual([true, true, true, false])
      expect(reader.control('open')).toEqual([])
    })

    everywhere('delivers a message full of line ends, SSE fields and HTML unchanged', async () => {
      const message = 'a\nb\r\ndata: c\n\nevent: hub.gap\ndata: {}\n\n\u2028<img src=x onerror=alert(1)>'
      await postJson('/send', { message })
      expect(await current()).toBe(message)
    })
  })
}
