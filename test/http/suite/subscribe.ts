import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests subscribing: names and patterns, where a stream begins, repetitions, parameters that are refused. */
export function subscribe({
  group,
  fetch,
  json,
  freshTopic,
  publish,
  stream,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  group('topics', () => {
    everywhere('begin with history by last, from=earliest or since; a Last-Event-ID wins over these', async () => {
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
      everywhere(`can be listed in the body of a ${method}, beside those of the URL`, async () => {
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

    everywhere('match by name, by pattern, or by both on one stream, which gets each event once', async () => {
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

    it('send the newest event again without an id under repeat', async () => {
      const topic = freshTopic()
      await publish(topic, 'x')
      const { reader } = await stream(`/event?topic=${topic}&repeat=1000`)
      const ids = () => reader.events.filter(({ data }) => data === 'x').map(({ id }) => id)
      await expect.poll(() => ids().length).toBeGreaterThanOrEqual(2)
      expect(new Set(ids())).toEqual(new Set([undefined]))
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
}
