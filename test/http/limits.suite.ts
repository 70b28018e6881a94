import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Reader } from '../reader.ts'
import type { Fetch, Way } from '../server/ways.ts'

type Init = RequestInit & { duplex?: 'half' }
/** Tests every limit over HTTP, at its bound and one past it, on any runtime. */
export function limitsSuite({ name, start, stop }: Way): void {
  let fetch: Fetch
  const open: AbortController[] = []
  afterAll(stop)

  const with_ = (settings: Record<string, string>) =>
    beforeAll(async () => {
      fetch = await start({ HEARTBEAT: '500ms', ...settings })
    })
  const json = (value: unknown, init: Init = {}): Init => ({
    ...init,
    method: 'POST',
    body: JSON.stringify(value),
    headers: { 'content-type': 'application/json' },
  })
  const codeOf = async (response: Response) => [response.status, ((await response.json()) as { code?: string }).code]
  const stream = async (query: string, accept = 'text/event-stream') => {
    const abort = new AbortController()
    open.push(abort)
    const response = await fetch(`/event?${query}`, { headers: { accept }, signal: abort.signal })
    const reader = new Reader()
    if (response.status === 200) reader.follow(response.body as unknown as AsyncIterable<Uint8Array>)
    return { response, reader, close: () => abort.abort() }
  }
  /** Expects a refusal that a client may retry: 429 with Retry-After, or 200 with a retry for an EventSource, which a 429 would end. */
  const expectLater = async (query: string, code: string) => {
    const ending = query === '' ? /^retry: \d{4,5}\n$/ : /^event: hub\.ending\ndata: \{\}\nretry: \d{4,5}\n\n$/
    const refused = await stream(query, '*/*')
    expect(await codeOf(refused.response)).toEqual([429, code])
    expect(Number(refused.response.headers.get('retry-after'))).toBeGreaterThan(0)
    const later = await stream(query)
    expect(later.response.status).toBe(200)
    await expect.poll(() => later.reader.ended).toBe(true)
    expect(later.reader.text).toMatch(ending)
  }

  afterEach(() => {
    for (const abort of open.splice(0)) abort.abort()
  })

  describe(`over ${name}, the limits of one request`, () => {
    with_({
      MAX_TOPICS: '3',
      MAX_TOPIC_BYTES: '20',
      MAX_TOPIC_SEGMENTS: '3',
      MAX_PATTERN_SEGMENTS: '5',
      MAX_BATCH: '3',
      MAX_STREAM_ITEMS: '4',
      STREAM_IDLE: '1500ms',
      MAX_STREAM_TIME: '4s',
      BODY_TIMEOUT: '1s',
      MAX_BODY_BYTES: '1KiB',
      MAX_EVENT_BYTES: '1KiB',
    })

    test('MAX_TOPICS, MAX_TOPIC_BYTES and MAX_TOPIC_SEGMENTS bound the topics of a request', async () => {
      const names = (n: number) => Array.from({ length: n }, (_, i) => `topic=t/${i}`).join('&')
      expect((await fetch(`/event?${names(3)}`, { method: 'HEAD' })).status).toBe(200)
      expect(await codeOf(await fetch(`/event?${names(4)}`))).toEqual([413, 'too_many_topics'])
      const [longest, longer] = ['x'.repeat(20), 'x'.repeat(21)]
      expect((await fetch(`/send?topic=${longest}`, json({ data: 'x' }))).status).toBe(200)
      expect((await fetch('/send?topic=1/2/3', json({ data: 'x' }))).status).toBe(200)
      for (const long of [longer, '1/2/3/4'])
        for (const response of [
          await fetch(`/send?topic=${long}`, json({ data: 'x' })),
          await fetch(`/event?topic=${long}`),
          await fetch(`/event?topic=${long}/*`),
          await fetch(`/topics/${long}`),
          await fetch(`/topics/${long}`, { method: 'DELETE' }),
        ])
          expect(await codeOf(response)).toEqual([413, 'topic_too_long'])
    })

    test('MAX_PATTERN_SEGMENTS bounds the segments of all patterns of a request', async () => {
      expect((await fetch('/event?topic=a/b/*&topic=c/*', { method: 'HEAD' })).status).toBe(200)
      expect(await codeOf(await fetch('/event?topic=a/b/*&topic=c/d/*'))).toEqual([413, 'too_many_topics'])
    })

    test('MAX_BATCH bounds the messages of a list', async () => {
      const list = (n: number) => Array.from({ length: n }, () => ({ data: '' }))
      expect((await fetch('/send?topic=a', json(list(3)))).status).toBe(200)
      expect(await codeOf(await fetch('/send?topic=a', json(list(4))))).toEqual([413, 'batch_too_long'])
    })

    test('MAX_BODY_BYTES bounds a body and each item of a streamed one, MAX_EVENT_BYTES an event', async () => {
      const send = async (type: string, body: string) =>
        codeOf(await fetch('/send?topic=a', { method: 'POST', body, headers: { 'content-type': type } }))
      const padded = (bytes: number) => `{"data":"x"${' '.repeat(bytes - 12)}}`
      expect(await send('application/json', padded(1024))).toEqual([200, undefined])
      expect(await send('application/json', padded(1025))).toEqual([413, 'body_too_large'])
      expect(await send('application/x-ndjson', `${padded(1024)}\n${padded(1024)}\n`)).toEqual([200, undefined])
      expect(await send('application/x-ndjson', `${padded(1025)}\n`)).toEqual([413, 'body_too_large'])
      const longest = 'x'.repeat(1024 - 167) // 167 bytes of fields, in the form of `envelope=true`
      expect(await send('text/plain', longest)).toEqual([200, undefined])
      expect(await send('text/plain', `${longest}x`)).toEqual([413, 'event_too_large'])
      expect(await send('text/event-stream', `data: ${longest}x\n\n`)).toEqual([413, 'event_too_large'])
    })

    test('MAX_STREAM_ITEMS bounds the items of a streamed body; those up to the bound are published', async () => {
      const send = (n: number) =>
        fetch('/send?topic=items', {
          method: 'POST',
          body: '{"data":"x"}\n'.repeat(n),
          headers: { 'content-type': 'application/x-ndjson' },
        })
      expect(await (await send(4)).json()).toMatchObject({ taken: 4 })
      const response = await send(5)
      expect(response.status).toBe(413)
      expect(await response.json()).toMatchObject({ code: 'stream_too_long', taken: 4 })
      expect(await (await fetch('/topics/items')).json()).toMatchObject({ kept: 8 })
    })

    const slow = (type: string, pieces: string[], everyMs: number) => {
      let i = 0
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          if (i > 0) await new Promise((resolve) => setTimeout(resolve, everyMs))
          if (i < pieces.length) controller.enqueue(new TextEncoder().encode(pieces[i++]))
          else controller.close()
        },
      })
      return fetch('/send?topic=slow', { method: 'POST', body, duplex: 'half', headers: { 'content-type': type } })
    }

    test.concurrent('BODY_TIMEOUT bounds the time for a body to arrive, unless the body is streamed', async () => {
      expect(await codeOf(await slow('application/json', ['{"data"', ':"x"}'], 3000))).toEqual([408, 'body_too_slow'])
      expect(await codeOf(await slow('application/json', ['{"data"', ':"x"}'], 100))).toEqual([200, undefined])
      const line = '{"data":"x"}\n'
      expect(await (await slow('application/x-ndjson', [line, line, line, line], 400)).json()).toMatchObject({
        taken: 4,
      })
    })

    test.concurrent('STREAM_IDLE bounds the silence of a streamed body, MAX_STREAM_TIME its duration; earlier items are published', async () => {
      const idle = await slow('application/x-ndjson', ['{"data":"x"}\n', '{"data":"y"}\n'], 3500)
      expect(idle.status).toBe(408)
      expect(await idle.json()).toMatchObject({ code: 'stream_idle', taken: 1 })
      const long = await slow('text/event-stream', ['data: x\n\n', ...Array.from({ length: 60 }, () => ':\n')], 100)
      expect(long.status).toBe(408)
      expect(await long.json()).toMatchObject({ code: 'stream_too_slow', taken: 1 })
    })
  })

  describe(`over ${name}, a bound above its default`, () => {
    with_({ MAX_TOPIC_SEGMENTS: '12' })

    test('applies to publishing, reading, repeating and deleting', async () => {
      const [deep, deeper] = ['1/2/3/4/5/6/7/8/9/10/11/12', '1/2/3/4/5/6/7/8/9/10/11/12/13']
      expect((await fetch(`/send?topic=${deep}`, json({ data: 'deep' }))).status).toBe(200)
      expect(await codeOf(await fetch(`/send?topic=${deeper}`, json({ data: 'x' })))).toEqual([413, 'topic_too_long'])
      const repeated = await stream(`topic=${deep}&repeat=1000`)
      await expect.poll(() => repeated.reader.data, { timeout: 5000 }).toEqual(['deep'])
      expect((await fetch(`/topics/${deep}`, { method: 'DELETE' })).status).toBe(200)
    })
  })

  describe(`over ${name}, the limits of readers`, () => {
    with_({ MAX_READERS: '3' })

    test('MAX_READERS bounds the open streams; after one closes the next opens', async () => {
      const all = [await stream('topic=a'), await stream(''), await stream('topic=b/*')]
      for (const { response } of all) expect(response.status).toBe(200)
      await expectLater('topic=a', 'too_many_readers')
      await expectLater('', 'too_many_readers')
      const polls = [
        'application/json',
        'text/event-stream;q=0.5, application/json',
        'text/event-stream;q=0, */*',
        'text/*',
      ]
      for (const accept of polls) {
        const refused = await fetch('/event?topic=a', { headers: { accept } })
        expect([accept, ...(await codeOf(refused))]).toEqual([accept, 429, 'too_many_readers'])
      }
      for (const accept of ['Text/Event-Stream', 'application/json;q=0.1, text/event-stream;q=0.2'])
        expect([accept, (await stream('topic=a', accept)).response.status]).toEqual([accept, 200])
      all[0]!.close()
      await expect
        .poll(async () => (await stream('topic=a', '*/*')).response.status, { timeout: 8000, interval: 200 })
        .toBe(200)
    })
  })

  describe(`over ${name}, the limits of one address`, () => {
    with_({ MAX_READERS_PER_ADDRESS: '2', PUBLISH_RATE: '5' })

    test('MAX_READERS_PER_ADDRESS bounds its open streams; after one closes the next opens', async () => {
      const all = [await stream('topic=a'), await stream('')]
      for (const { response } of all) expect(response.status).toBe(200)
      await expectLater('topic=a', 'too_many_readers')
      all[0]!.close()
      await expect
        .poll(async () => (await stream('topic=a', '*/*')).response.status, { timeout: 8000, interval: 200 })
        .toBe(200)
    })

    test('PUBLISH_RATE=5 takes five messages at once, then one every 200 ms, and slows a streamed body down', async () => {
      const began = performance.now()
      const codes: unknown[] = []
      for (let i = 0; i < 20; i++) codes.push((await codeOf(await fetch('/send?topic=rate', json({ data: 'x' }))))[1])
      const tookMs = performance.now() - began
      const taken = codes.filter((code) => code === undefined).length
      expect(codes.slice(0, 5)).toEqual(Array(5).fill(undefined))
      expect(codes.filter((code) => code !== undefined && code !== 'rate_limited')).toEqual([])
      expect(taken).toBeLessThanOrEqual(5 + Math.ceil(tookMs / 200))
      expect(taken).toBeLessThan(20)
      const atOnce = await Promise.all(Array.from({ length: 20 }, () => fetch('/send?message=x')))
      const answers = await Promise.all(
        atOnce.map(async (one) => [...(await codeOf(one)), one.headers.get('retry-after')]),
      )
      expect(answers).toContainEqual([429, 'rate_limited', '1'])
      const more = answers.filter(([status]) => status === 200).length
      expect(taken + more).toBeLessThanOrEqual(5 + Math.ceil((performance.now() - began) / 200))
      const streamed = performance.now()
      const body = '{"data":"x"}\n'.repeat(6)
      const response = await fetch('/send?topic=rate', {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/x-ndjson' },
      })
      expect(await response.json()).toMatchObject({ taken: 6 })
      const again = await fetch('/send?topic=rate', {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/x-ndjson' },
      })
      expect(await again.json()).toMatchObject({ taken: 6 })
      expect(performance.now() - streamed).toBeGreaterThan(1000) // the second body has to wait for the debt of the first
    })
  })

  describe(`over ${name}, the limits of lists and deletions`, () => {
    with_({ PUBLISH_RATE: '5' })

    test('PUBLISH_RATE bounds the lists and deletions of one address, beside its messages; showing a topic is free', async () => {
      const asks: [string, RequestInit][] = [
        ['/topics', {}],
        ['/topics?prefix=a', { method: 'HEAD' }],
        ['/topics/rate/a', { method: 'DELETE' }],
        ['/send?topic=rate/b', json({ data: 'x' })],
      ]
      const began = performance.now()
      let taken = 0
      for (const [path, init] of asks) {
        const answers = await Promise.all(Array.from({ length: 40 }, () => fetch(path, init)))
        const refused = answers.filter(({ status }) => status === 429)
        taken += answers.length - refused.length
        expect([path, refused.length > 0]).toEqual([path, true])
        if (init.method !== 'HEAD') expect(await codeOf(refused[0]!)).toEqual([429, 'rate_limited'])
        expect(Number(refused[0]!.headers.get('retry-after'))).toBeGreaterThan(0)
      }
      expect(taken).toBeGreaterThanOrEqual(5)
      expect(taken).toBeLessThanOrEqual(5 + Math.ceil((performance.now() - began) / 200)) // they share one bucket
      for (let i = 0; i < 20; i++) expect((await fetch('/topics/rate/b')).status).toBe(200)
    })
  })

  describe(`over ${name}, the limits of streamed bodies`, () => {
    with_({
      MAX_STREAMED_BODIES: '3',
      MAX_STREAMED_BODIES_PER_ADDRESS: '2',
      PUBLISH_RATE: '50',
      MAX_STREAM_TIME: '1500ms',
    })

    const headers = { 'content-type': 'application/x-ndjson' }
    const line = '{"data":"x"}\n'
    /** Sends a body that publishes an item and then lasts until it is ended. */
    const hold = (topic: string) => {
      const body = new TransformStream<Uint8Array, Uint8Array>()
      const writer = body.writable.getWriter()
      const abort = new AbortController()
      open.push(abort)
      const init: Init = { method: 'POST', body: body.readable, duplex: 'half', headers, signal: abort.signal }
      const answer = fetch(`/send?topic=${topic}`, init)
      answer.catch(() => {})
      writer.write(new TextEncoder().encode(line)).catch(() => {})
      return { answer, end: () => writer.close() }
    }
    const kept = async (topic: string) =>
      ((await (await fetch(`/topics/${topic}`)).json()) as { kept?: number }).kept ?? 0

    test('MAX_STREAMED_BODIES_PER_ADDRESS bounds the bodies read at once; other publishes go on, and after one ends the next is read', async () => {
      const bodies = [hold('held'), hold('held')]
      await expect.poll(() => kept('held')).toBe(2)
      const refused = await fetch('/send?topic=held', { method: 'POST', body: line, headers })
      expect([refused.status, Number(refused.headers.get('retry-after'))]).toEqual([429, 5])
      expect(await refused.json()).toMatchObject({ code: 'too_many_bodies', taken: 0, lastId: null })
      expect((await fetch('/send?topic=held', json({ data: 'y' }))).status).toBe(200)
      await bodies[0]!.end()
      expect(await (await bodies[0]!.answer).json()).toMatchObject({ taken: 1 })
      expect((await fetch('/send?topic=held', { method: 'POST', body: line, headers })).status).toBe(200)
      expect(await kept('held')).toBe(4)
    })

    test('MAX_STREAM_TIME bounds a streamed body that waits for PUBLISH_RATE; the answer says how much is published', async () => {
      const began = performance.now()
      const answer = await fetch('/send?topic=timed', { method: 'POST', body: line.repeat(2000), headers })
      expect(answer.status).toBe(408)
      const said = (await answer.json()) as { taken: number }
      expect(said).toMatchObject({ code: 'stream_too_slow', lastId: expect.any(String) })
      // A full bucket, what flows in, and one group: up to 256 where commits are slow.
      const elapsedMs = performance.now() - began
      expect(said.taken).toBeLessThanOrEqual(50 + (50 * elapsedMs) / 1000 + 256)
      expect(await kept('timed')).toBe(said.taken)
      expect(performance.now() - began).toBeLessThan(6000)
    })
  })

  describe(`over ${name}, the limits of history`, () => {
    with_({ MAX_REPLAYS: '1', REPLAY_RATE: '100', WINDOW_COUNT: '1' })

    test('MAX_REPLAYS bounds concurrent replays, REPLAY_RATE the events a second of one; live streams go on', async () => {
      await fetch('/send?topic=a', json(Array.from({ length: 1000 }, () => ({ data: 'x' }))))
      await fetch('/send?topic=b', json({ data: 'y' }))
      const began = performance.now()
      const replay = await stream('topic=a&from=earliest')
      await expect.poll(() => replay.reader.data.length).toBeGreaterThan(100)
      await expectLater('topic=a&last=100', 'too_many_replays')
      const live = await stream('topic=a')
      await fetch('/send?topic=a', json({ data: 'live' }))
      await live.reader.gets('live')
      expect(replay.reader.data.length).toBeLessThan(600 + (performance.now() - began) / 10)
      expect(replay.reader.data).not.toContain('live')
      replay.close()
      await expect
        .poll(async () => (await stream('topic=a&last=2', '*/*')).response.status, { timeout: 8000, interval: 200 })
        .toBe(200)
    })
  })
}
