import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests long polling. */
export function poll({ group, fetch, json, freshTopic, post, postJson, publish, it, everywhere }: Client): void {
  group('a long poll', () => {
    const poll = async (query: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`/event?${query}`, { headers: { accept: 'application/json', ...headers } })
      expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store'])
      return (await response.json()) as { events: { data: string; topic: string; time: string }[]; position: string }
    }

    /** RFC 3339, in UTC, with milliseconds. */
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

    it('answers at once with the events after its position, and the next one continues from there', async () => {
      const topic = freshTopic()
      const ids = await publish(topic, '1', '2')
      await publish(freshTopic(), 'x')
      await postJson(`/send?topic=${topic}`, { data: '3', event: 'e' })
      const first = await poll(`topic=${topic}&lastEventId=${ids[0]}&wait=20`)
      expect(first.events).toEqual([
        { id: ids[1], topic, event: 'message', data: '2', time },
        { id: expect.any(String), topic, event: 'e', data: '3', time },
      ])
      expect(await poll(`topic=${topic}`, { 'last-event-id': first.position })).toEqual({
        events: [],
        position: expect.any(String),
      })
      expect((await poll(`topic=${topic}&last=2`)).events.map(({ data }) => data)).toEqual(['2', '3'])
      expect((await poll(`topic=${topic}&from=earliest&latest=true`)).events.map(({ data }) => data)).toEqual(['3'])
    })

    everywhere('waits for the next event, but no longer than wait', async () => {
      const topic = freshTopic()
      const { position } = await poll(`topic=${topic}`)
      const waiting = poll(`topic=${topic}&wait=30&lastEventId=${position}`)
      await expect.poll(async () => (await json(await fetch(`/topics/${topic}`))).readers).toBe(1)
      const [id] = await publish(topic, 'now')
      expect(await waiting).toEqual({ events: [{ id, topic, event: 'message', data: 'now', time }], position: id })
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
      const [later] = await publish(freshTopic(), 'y')
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
      await publish(`${topic}/a`, '1')
      const [passed] = await publish(`${topic}/b`, '2', '3')
      const answer = await poll(`topic=${topic}/a&topic=${topic}/b&latest=true&gaps=true&lastEventId=zzzzzzzzzz-3`)
      expect(answer).toMatchObject({
        events: [{ data: '1' }, { data: '3' }],
        gaps: [{ reason: 'epoch' }, { reason: 'conflated', to: passed }],
        gap: { reason: 'epoch' },
      })
      expect(await poll(`topic=${topic}/a&from=earliest`)).not.toHaveProperty('gaps')
    })

    everywhere('delivers a long history completely over several answers', async () => {
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

    it('names the topic of each event that a pattern matches, of repeats too, with and without envelope=true', async () => {
      const topic = freshTopic()
      for (const name of ['x', 'y']) await publish(`${topic}/${name}`, name)
      for (const more of ['', '&envelope=true', '&envelope=false']) {
        const { events } = await poll(`topic=${topic}/*&from=earliest${more}`)
        expect(events.map((event) => [event.topic, event.data])).toEqual([
          [`${topic}/x`, 'x'],
          [`${topic}/y`, 'y'],
        ])
      }
      const { events } = await poll(`topic=${topic}/x&repeat=1000&wait=5`)
      expect(events).toEqual([{ topic: `${topic}/x`, event: 'message', data: 'x', time }])
    })

    it('without a topic answers with the value of the demo', async () => {
      await fetch('/send?message=polled')
      const { events } = await poll('')
      expect(JSON.parse(events[0]!.data)).toEqual({ message: 'polled', timestamp: events[0]!.time })
      expect(events[0]!.topic).toBe('$store')
    })
  })
}
