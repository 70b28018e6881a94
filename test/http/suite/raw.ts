import { expect } from 'vitest'
import { latin1, multipart } from './bodies.ts'
import type { Client } from './client.ts'

/** Tests bodies of others: raw ones, whose text is the data, and the formats that clients of other systems send. */
export function raw({
  group,
  fetch,
  json,
  freshTopic,
  post,
  stream,
  current,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  const sendRaw = (topic: string, body: BodyInit, headers: Record<string, string> = {}, more = '') =>
    fetch(`/send?topic=${topic}&raw=true${more}`, { method: 'POST', body, headers })
  const bytes = (text: string) => new TextEncoder().encode(text)

  group('a body of another system', () => {
    const TEXTS: [type: string | undefined, text: string][] = [
      [undefined, 'no Content-Type: {"a" :1.0}'],
      ['application/json', '{ "topic": "other", "key": "k", "data": "x", "close": true,\n  "n": 1.0, "n": 2 }'],
      ['application/json', '[{"data":"x"}, {"topic":"b"}]'],
      ['application/json', 'not JSON {'],
      ['APPLICATION/vnd.github+JSON; charset=UTF-8', '{"zen": "\\u00e9"}'],
      ['application/cloudevents+json', '{ "id": 1 }'],
      ['application/x-www-form-urlencoded', 'payload=%7B%22a%22%3A1%7D&data=x&%ff'],
      ['application/x-ndjson', '{"data":1}\n{"data":2}\n'],
      ['application/ndjson', '{"data":1}'],
      ['text/event-stream', ': hi\ndata: x\n\nevent: y'],
      ['text/html;charset=utf-8', '<p>é 😀</p>\n'],
      ['text/plain', '\ufeff marked '],
      ['application/xml', '<?xml version="1.0"?>\n<a/>'],
      ['application/atom+xml', '<feed/>'],
      ['application/yaml', 'a: 1\n'],
      ['application/secevent+jwt', 'e30.e30.x'],
    ]

    everywhere(
      'is the data of one event with raw=true, as it was written, of any textual type, also if it looks like a message',
      async () => {
        const topic = freshTopic()
        const { reader } = await stream(`/event?topic=${topic}`)
        for (const [type, text] of TEXTS) {
          const response = await sendRaw(topic, bytes(text), type === undefined ? {} : { 'content-type': type })
          expect([type, response.status]).toEqual([type, 200])
          expect(await json(response)).toEqual({ id: expect.any(String), topic, durability: expect.any(String) })
        }
        await reader.gets(...TEXTS.map(([, text]) => text))
        expect(new Set(reader.events.slice(1).map(({ event }) => event))).toEqual(new Set([undefined]))
      },
    )

    it('that is raw has lines that end in LF when it is delivered, as all data', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      await sendRaw(topic, bytes('{\r\n "a": 1\r}'), { 'content-type': 'application/json' })
      await reader.gets('{\n "a": 1\n}')
    })

    it('that is raw may have an event name in the query, and a key in Idempotency-Key', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const headers = { 'content-type': 'application/json', 'idempotency-key': 'delivery-1' }
      const first = await json(await sendRaw(topic, '{"a":1}', headers, '&event=push'))
      const again = await json(await sendRaw(topic, '{"a":1}', headers, '&event=push'))
      expect(again).toEqual({ ...first, duplicate: true })
      await expectProblem(await sendRaw(topic, '{"a":2}', headers, '&event=push'), 409, 'key_conflict')
      await reader.gets('{"a":1}')
      expect(reader.events.at(-1)).toEqual({ event: 'push', data: '{"a":1}', id: first.id })
    })

    it('is not raw with raw=false', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      expect((await post(`/send?topic=${topic}&raw=false`, '{"data":"x"}', 'application/json')).status).toBe(200)
      await reader.gets('x')
    })

    const REFUSED: [what: string, send: () => Promise<Response>, status: number, code: string, detail: string][] = [
      [
        'of a binary type',
        () => sendRaw('a', 'x', { 'content-type': 'application/octet-stream' }),
        415,
        'content_type_unsupported',
        'expected text, JSON, XML',
      ],
      [
        'that is a multipart form',
        () => sendRaw('a', multipart('x'), { 'content-type': 'multipart/form-data; boundary=x' }),
        415,
        'content_type_unsupported',
        'expected text',
      ],
      [
        'of another charset',
        () => sendRaw('a', 'x', { 'content-type': 'text/xml; charset=iso-8859-1' }),
        415,
        'content_type_unsupported',
        'send it as UTF-8',
      ],
      ['that is not UTF-8', () => sendRaw('a', latin1('Gr\xfc\xdfe')), 400, 'encoding_invalid', 'not UTF-8'],
      ['that is empty', () => sendRaw('a', ''), 400, 'data_missing', 'without a body'],
      [
        'without a topic',
        () => fetch('/send?raw=true', { method: 'POST', body: '{"message":"x","topic":"a"}' }),
        400,
        'topic_missing',
        'name one',
      ],
      [
        'with a field in the query',
        () => sendRaw('a', 'x', {}, '&key=k'),
        400,
        'parameter_unknown',
        'the key in Idempotency-Key',
      ],
      ['with a message', () => sendRaw('a', 'x', {}, '&message=m'), 400, 'parameter_unknown', 'the data alone'],
      ['with a reserved event name', () => sendRaw('a', 'x', {}, '&event=hub.gap'), 400, 'event_invalid', 'reserved'],
      [
        'if raw is neither true nor false',
        () => post('/send?topic=a&raw=yes', 'x', 'text/plain'),
        400,
        'parameter_invalid',
        'expected true or false',
      ],
      ['by GET', () => fetch('/send?topic=a&raw=true'), 405, 'method_not_allowed', 'use POST'],
    ]
    for (const [what, send, status, code, detail] of REFUSED)
      it(`that is raw is refused ${what}, and changes nothing`, async () => {
        await fetch('/send?message=untouched')
        const { reader } = await stream('/event?topic=**')
        await expect.poll(() => reader.control('open')).toHaveLength(1)
        expect((await expectProblem(await send(), status, code)).detail).toContain(detail)
        await sendRaw(freshTopic(), 'x')
        await expect.poll(() => reader.data).toEqual(['x'])
        expect(await current()).toBe('untouched')
      })

    it('may be application/ndjson, which is application/x-ndjson, or of a type that ends in +json, which is JSON', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      expect(
        await json(await post(`/send?topic=${topic}`, '{"data":"1"}\n{"data":"2"}', 'application/ndjson')),
      ).toEqual({ taken: 2, lastId: expect.any(String), topic, durability: expect.any(String) })
      for (const type of ['application/ld+json', 'application/vnd.api+json;charset=utf-8', 'Application/X+JSON'])
        expect((await post(`/send?topic=${topic}`, '{"data":"3"}', type)).status).toBe(200)
      await reader.gets('1', '2', '3', '3', '3')
      await post('/send', '{"message":"by ld+json"}', 'application/ld+json')
      expect(await current()).toBe('by ld+json')
    })

    const ONE = 'application/cloudevents+json'
    const BATCH = 'application/cloudevents-batch+json'
    const eventOf = (id: string, more = '') =>
      `{"specversion":"1.0","type":"com.example.made","source":"/orders","id":"${id}"${more}}`

    it('that is a CloudEvent is the data, whole and as it was written, with its source and id as key', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const written = eventOf('1', ',"topic":"other","message":"m","data":{"price":1.0,"key":"k"}')
      const first = await json(await post(`/send?topic=${topic}`, written, ONE))
      expect(first).toEqual({ id: expect.any(String), topic, durability: expect.any(String) })
      const spaced = written.replaceAll(',"', '\n , "')
      expect(await json(await post(`/send?topic=${topic}`, spaced, `${ONE}; charset=UTF-8`))).toEqual({
        ...first,
        duplicate: true,
      })
      await expectProblem(await post(`/send?topic=${topic}`, eventOf('1'), ONE), 409, 'key_conflict')
      await post(`/send?topic=${topic}`, eventOf('2'), ONE)
      await reader.gets(written, eventOf('2'))
      expect(reader.events.slice(1).map(({ event }) => event)).toEqual([undefined, undefined])
    })

    it('that is a batch of CloudEvents is published as one event each, all or none', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      await post(`/send?topic=${topic}`, eventOf('1'), ONE)
      const batch = `[ ${eventOf('1')} ,\n${eventOf('2', ', "data" : [ "a b" ]')}]`
      expect(await json(await post(`/send?topic=${topic}`, batch, BATCH))).toEqual({
        ids: [expect.any(String), expect.any(String)],
        topic,
        duplicates: 1,
        durability: expect.any(String),
      })
      const bad = await post(`/send?topic=${topic}`, `[${eventOf('3')},{"id":"4"}]`, BATCH)
      expect((await expectProblem(bad, 400, 'body_invalid')).detail).toContain('event 1 of the batch')
      await post(`/send?topic=${topic}`, eventOf('5'), ONE)
      await reader.gets(eventOf('1'), eventOf('2', ',"data":["a b"]'), eventOf('5'))
    })

    it('that is a CloudEvent has the key of Idempotency-Key, if there is one, and may have a long source', async () => {
      const topic = freshTopic()
      const keyed = (body: string, key: string, type = ONE) =>
        fetch(`/send?topic=${topic}`, {
          method: 'POST',
          body,
          headers: { 'content-type': type, 'idempotency-key': key },
        })
      const first = await json(await keyed(eventOf('1'), 'k'))
      expect(await json(await keyed(eventOf('1'), 'k'))).toEqual({ ...first, duplicate: true })
      expect(await json(await keyed(eventOf('1'), 'other'))).not.toHaveProperty('duplicate')
      expect(await json(await keyed(`[${eventOf('1')}]`, 'k', BATCH))).not.toHaveProperty('duplicates')
      expect(await json(await keyed(`[${eventOf('1')}]`, 'k', BATCH))).toMatchObject({ duplicates: 1 })
      const long = eventOf('1').replace('/orders', `/${'o'.repeat(300)}`)
      const made = await json(await post(`/send?topic=${topic}`, long, ONE))
      expect(await json(await post(`/send?topic=${topic}`, long, ONE))).toEqual({ ...made, duplicate: true })
      const other = long.replace('/o', '/p')
      expect(await json(await post(`/send?topic=${topic}`, other, ONE))).not.toHaveProperty('duplicate')
    })

    it('that is a CloudEvent is refused without a topic in the query, without a required attribute, and in the wrong mode', async () => {
      await fetch('/send?message=untouched')
      const events: [body: string, type: string, code: string][] = [
        [eventOf('1', ',"topic":"a","message":"m"'), ONE, 'topic_missing'],
        [`[${eventOf('1', ',"message":"m"')}]`, BATCH, 'topic_missing'],
      ]
      for (const [body, type, code] of events) await expectProblem(await post('/send', body, type), 400, code)
      const bad: [body: string, type: string, code: string][] = [
        [eventOf(''), ONE, 'body_invalid'],
        [eventOf('1').replace('"type"', '"Type"'), ONE, 'body_invalid'],
        [eventOf('1').replace('"1.0"', '1.0'), ONE, 'body_invalid'],
        ['"x"', ONE, 'body_invalid'],
        ['[5]', BATCH, 'body_invalid'],
        [`[${eventOf('1')}]`, ONE, 'body_invalid'],
        [eventOf('1'), BATCH, 'body_invalid'],
        ['[]', BATCH, 'data_missing'],
      ]
      for (const [body, type, code] of bad) await expectProblem(await post('/send?topic=a', body, type), 400, code)
      const list = `[${Array.from({ length: 1001 }, (_, i) => `{"id":"${i}"}`).join(',')}]`
      await expectProblem(await post('/send?topic=a', list, BATCH), 413, 'batch_too_long')
      expect(await current()).toBe('untouched')
    })
  })
}
