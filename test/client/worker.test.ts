import { expect, test } from 'vitest'
import { connect } from '../../public/client.js'
import { createApp, Hub, memoryLog } from '../../src/portable.ts'

test('the client publishes, subscribes and ends in a Worker, with requests that workerd accepts', async () => {
  const app = createApp({ hub: new Hub(memoryLog), open: true })
  const client = connect({ url: 'http://localhost', fetch: async (url, init) => app.fetch(new Request(url, init)) })
  const { id } = await client.publish({ topic: 'a', data: { n: 1 } })
  await client.publish({ topic: 'a', data: 'last', close: true })
  const seen: unknown[] = []
  const closed: unknown[] = []
  for await (const { id, data } of client.subscribe('a', { from: 'earliest', onClosed: (one) => closed.push(one) }))
    seen.push(id, data)
  expect(seen).toEqual([id, '{"n":1}', expect.stringMatching(/-2$/), 'last'])
  expect(closed).toEqual([{ topic: 'a', outcome: 'done' }])
  await expect(client.publish({ topic: 'a', data: 'late' })).rejects.toMatchObject({ code: 'topic_closed' })
})
