import { expect } from 'vitest'
import { Reader } from '../../reader.ts'
import { type Client, chunks } from './client.ts'

/** Tests open streams: headers, counts, other topics, slow readers. */
export function stream({
  group,
  goneWithinMs,
  fetch,
  json,
  freshTopic,
  post,
  postJson,
  publish,
  stream,
  readers,
  countBefore,
  expectProblem,
  everywhere,
}: Client): void {
  group('an open stream', () => {
    everywhere('has the headers that keep proxies and browsers from caching, buffering or sniffing it', async () => {
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

    everywhere('is counted until its reader disconnects, and HEAD is never counted', async () => {
      await expect.poll(readers, { timeout: goneWithinMs }).toBe(countBefore())
      const all = await Promise.all(Array.from({ length: 10 }, (_, i) => stream(i % 2 ? '/event' : '/event?topic=a')))
      await Promise.all(all.map(({ reader }) => expect.poll(() => reader.events.length).toBeGreaterThan(0)))
      for (let i = 0; i < 10; i++) await fetch(i % 2 ? '/event' : '/event?topic=a', { method: 'HEAD' })
      expect(await readers()).toBe(countBefore() + 10)
      for (const { close } of all) close()
      await expect.poll(readers, { timeout: goneWithinMs }).toBe(countBefore())
    })

    everywhere('can be given other topics by its name, stays open, and misses nothing', async () => {
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

    everywhere('delivers everything to a reader that starts to read late', async () => {
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
}
