import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests idempotency keys. */
export function keys({
  group,
  fetch,
  json,
  freshTopic,
  post,
  postJson,
  postKeyed,
  publish,
  stream,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  group('topics', () => {
    it('take the same key again if only whitespace of the JSON data differs, and refuse it if a number is written otherwise', async () => {
      const topic = freshTopic()
      const send = (data: string) => post(`/send?topic=${topic}`, `{"key":"k","data":${data}}`, 'application/json')
      const { id } = await json(await send('{"n":1.0}'))
      expect(await json(await send('{ "n" : 1.0 }'))).toMatchObject({ id, duplicate: true })
      await expectProblem(await send('{"n":1}'), 409, 'key_conflict')
    })

    it('take Idempotency-Key as the key of one message, and with an index as the key of each in a list', async () => {
      const topic = freshTopic()
      const one = await json(await postKeyed(`/send?topic=${topic}`, 'K', { data: 'x' }))
      expect(await json(await postKeyed(`/send?topic=${topic}`, 'K', { data: 'x' }))).toEqual({
        ...one,
        duplicate: true,
      })
      expect(await json(await postJson(`/send?topic=${topic}`, { data: 'x', key: 'K' }))).toEqual({
        ...one,
        duplicate: true,
      })
      const list = [{ data: '1' }, { data: '2' }]
      const all = await json(await postKeyed(`/send?topic=${topic}`, 'L', list))
      expect(await json(await postKeyed(`/send?topic=${topic}`, 'L', list))).toEqual({ ...all, duplicates: 2 })
      const { id } = await json(await postJson(`/send?topic=${topic}`, { data: '2', key: 'L/1' }))
      expect(id).toBe((all.ids as string[])[1])
      await expectProblem(
        await postKeyed(`/send?topic=${topic}`, 'L', [{ data: '1' }, { data: '?' }]),
        409,
        'key_conflict',
      )
      const set = () =>
        fetch('/send?message=once', { method: 'POST', headers: { 'idempotency-key': topic } }).then(json)
      expect((await set()).id).toBe((await set()).id)
    })

    it('answer a repeated key with its first id, and refuse the key with other data', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const first = await json(await postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }))
      const again = await json(await postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }))
      expect(again).toEqual({ ...first, duplicate: true })
      await expectProblem(await postJson(`/send?topic=${topic}`, { data: 'y', key: 'k' }), 409, 'key_conflict')
      await publish(topic, 'end')
      await reader.gets('x', 'end')
    })

    everywhere('append one event for a hundred concurrent publishes with one key', async () => {
      const topic = freshTopic()
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => postJson(`/send?topic=${topic}`, { data: 'x', key: 'k' }).then(json)),
      )
      expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
      expect(answers.filter(({ duplicate }) => duplicate !== true)).toHaveLength(1)
    })
  })
}
