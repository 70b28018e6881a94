import { expect } from 'vitest'
import { type Client, RETRY } from './client.ts'

/** Tests closed topics. */
export function closing({
  group,
  fetch,
  json,
  freshTopic,
  postJson,
  publish,
  stream,
  expectProblem,
  everywhere,
}: Client): void {
  group('topics', () => {
    everywhere(
      'can be closed: readers get everything, hub.closed and hub.ending; resuming gets 204, publishing 409',
      async () => {
        const topic = freshTopic()
        const { reader } = await stream(`/event?topic=${topic}`)
        const pattern = await stream(`/event?topic=${topic}/**&topic=${topic}`)
        await publish(topic, '1')
        const { id } = await json(await postJson(`/send?topic=${topic}`, { data: '2', close: true }))
        await reader.gets('1', '2')
        await expect.poll(() => reader.ended).toBe(true)
        expect(reader.lines.slice(-2)).toEqual([
          `hub.closed {"topic":"${topic}","outcome":"done"} ${id}`,
          'hub.ending {}',
        ])
        // Clients that do not stop at a 204 come back after a minute at most, and not all at once.
        expect(reader.retries.at(-1)).toBeGreaterThanOrEqual(30_000)
        await expect.poll(() => pattern.reader.control('closed')).toEqual([{ topic, outcome: 'done' }])
        expect(pattern.reader.ended).toBe(false)
        expect(pattern.reader.retries).toEqual([RETRY])
        await expectProblem(await postJson(`/send?topic=${topic}`, { data: '3' }), 409, 'topic_closed')
        const back = await fetch(`/event?topic=${topic}`, { headers: { 'last-event-id': id as string } })
        expect([back.status, await back.text()]).toEqual([204, ''])
        const fresh = await stream(`/event?topic=${topic}`)
        await expect.poll(() => fresh.reader.ended).toBe(true)
        expect(fresh.reader.events.map(({ event }) => event)).toEqual(['hub.open', 'hub.closed', 'hub.ending'])
        const history = await stream(`/event?topic=${topic}&last=1`)
        await history.reader.gets('2')
        await expect.poll(() => history.reader.ended).toBe(true)
        const bare = freshTopic()
        expect((await postJson(`/send?topic=${bare}`, { close: true })).status).toBe(200)
        expect(await json(await fetch(`/topics/${bare}`))).toMatchObject({ closed: true, kept: 1 })
      },
    )
  })
}
