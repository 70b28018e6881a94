import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests `envelope=true`. */
export function envelope({
  group,
  fetch,
  freshTopic,
  postJson,
  publish,
  stream,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  group('with envelope=true', () => {
    /** RFC 3339, in UTC, with milliseconds. */
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

    everywhere(
      'data has the topic, the event name, the data as published and the time; event and id stay',
      async () => {
        const topic = freshTopic()
        const [first] = await publish(`${topic}/a`, 'one')
        await postJson(`/send?topic=${topic}/b`, { data: { n: 1.0 }, event: 'said' })
        const { reader } = await stream(`/event?topic=${topic}/*&envelope=true`, { 'last-event-id': first! })
        const fresh = await stream(`/event?topic=${topic}/*&envelope=true&from=earliest`)
        const bare = await stream(`/event?topic=${topic}/*&from=earliest`)
        await publish(`${topic}/a`, 'two\nlines')
        for (const one of [reader, fresh.reader, bare.reader])
          await expect.poll(() => one.data.length).toBe(one === reader ? 2 : 3)
        const [before, ...rest] = fresh.reader.events.filter(({ event }) => !event?.startsWith('hub.'))
        expect(reader.events.filter(({ event }) => !event?.startsWith('hub.'))).toEqual(rest)
        expect([before, ...rest].map((event) => JSON.parse(event!.data))).toEqual([
          { topic: `${topic}/a`, event: 'message', data: 'one', time },
          { topic: `${topic}/b`, event: 'said', data: '{"n":1}', time },
          { topic: `${topic}/a`, event: 'message', data: 'two\nlines', time },
        ])
        const plain = bare.reader.events.filter(({ event }) => !event?.startsWith('hub.'))
        expect([before, ...rest].map((event) => [event!.id, event!.event])).toEqual(
          plain.map(({ id, event }) => [id, event]),
        )
        expect([before, ...rest].map((event) => JSON.parse(event!.data).data)).toEqual(plain.map(({ data }) => data))
      },
    )

    it('goes with latest and repeat; hub.* events stay as they are', async () => {
      const topic = freshTopic()
      await publish(topic, '1', '2')
      const { reader } = await stream(`/event?topic=${topic}&envelope=true&latest=true&from=earliest&repeat=1000`)
      await expect.poll(() => reader.data.length).toBeGreaterThan(1)
      expect(reader.control('open')).toMatchObject([{ state: 'live' }])
      const [first, repeat] = reader.events.filter(({ event }) => !event?.startsWith('hub.'))
      expect(JSON.parse(first!.data)).toEqual({ topic, event: 'message', data: '2', time })
      expect([repeat!.id, repeat!.data]).toEqual([undefined, first!.data])
      await postJson(`/send?topic=${topic}`, { close: true })
      await expect.poll(() => reader.control('closed')).toEqual([{ topic, outcome: 'done' }])
    })

    it('needs a topic, and is true or false', async () => {
      for (const given of ['true', 'false']) {
        const { detail } = await expectProblem(await fetch(`/event?envelope=${given}`), 400, 'parameter_invalid')
        expect(detail).toBe('Cannot use envelope without a topic: name one')
      }
      await expectProblem(await fetch('/event?topic=a&envelope=1'), 400, 'parameter_invalid')
    })
  })
}
