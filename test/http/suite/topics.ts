import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests the directory of topics, and deletions. */
export function topics({
  group,
  fetch,
  json,
  freshTopic,
  postJson,
  publish,
  stream,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  group('/topics', () => {
    it('lists topics by prefix or pattern, a page at a time', async () => {
      const topic = freshTopic()
      for (const name of ['c', 'a', 'b/x']) await publish(`${topic}/${name}`, '1', '2')
      const names = async (query: string) => {
        const { topics, next } = await json(await fetch(`/topics?${query}`))
        return [
          (topics as { topic: string }[]).map((one) => one.topic.slice(topic.length + 1)),
          (next as string)?.slice(topic.length + 1),
        ]
      }
      expect(await names(`prefix=${topic}/`)).toEqual([['a', 'b/x', 'c'], undefined])
      expect(await names(`topic=${topic}/*`)).toEqual([['a', 'c'], undefined])
      expect(await names(`topic=${topic}/b/x`)).toEqual([['b/x'], undefined])
      expect(await names(`prefix=${topic}/&limit=2`)).toEqual([['a', 'b/x'], 'b/x'])
      expect(await names(`prefix=${topic}/&limit=2&after=${topic}/b/x`)).toEqual([['c'], undefined])
      expect(await names(`prefix=${topic}/none`)).toEqual([[], undefined])
      await fetch('/send?message=x')
      const all = (await json(await fetch('/topics?limit=1000'))).topics as { topic: string }[]
      expect(all.some((one) => one.topic.startsWith('$'))).toBe(false)
      expect(await json(await fetch('/topics?topic=$store'))).toMatchObject({ topics: [{ topic: '$store' }] })
      for (const query of ['limit=0', 'limit=1001', 'limit=x', 'topic=a&prefix=b'])
        await expectProblem(await fetch(`/topics?${query}`), 400, 'parameter_invalid')
    })

    it('describes one topic: its newest id, kept events, readers, and whether it is closed', async () => {
      const topic = freshTopic()
      expect(await json(await fetch(`/topics/${topic}`))).toEqual({
        topic,
        lastId: null,
        kept: 0,
        readers: 0,
        closed: false,
      })
      await stream(`/event?topic=${topic}`)
      await stream(`/event?topic=${topic.split('/')[0]}/*&latest=true`)
      const [, id] = await publish(topic, '1', '2')
      expect(await json(await fetch(`/topics/${topic}`))).toEqual({
        topic,
        lastId: id,
        kept: 2,
        readers: 2,
        closed: false,
      })
      expect(await json(await fetch(`/topics/${encodeURIComponent(topic)}`))).toMatchObject({ topic })
      expect(await json(await fetch(`/%74opics/${topic}`))).toMatchObject({ topic })
      await expectProblem(await fetch('/topics/a*'), 400, 'topic_invalid')
      await expectProblem(await fetch('/topics/a', { method: 'POST' }), 405, 'method_not_allowed')
    })

    it('erases one event: readers get the others without a gap, and its id stays taken', async () => {
      const topic = freshTopic()
      const ids = await publish(topic, '1', 'secret', '3')
      const response = await fetch(`/topics/${topic}/${ids[1]}`, { method: 'DELETE' })
      expect(await json(response)).toEqual({ topic, id: ids[1], erased: 1 })
      const { reader } = await stream(`/event?topic=${topic}`, { 'last-event-id': ids[0]! })
      await reader.gets('3')
      expect(reader.control('gap')).toEqual([])
      expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({ kept: 2, lastId: ids[2] })
      await expectProblem(await fetch(`/topics/${topic}/${ids[1]}`, { method: 'DELETE' }), 404, 'nothing_to_delete')
      await expectProblem(
        await fetch(`/topics/${freshTopic()}/${ids[2]}`, { method: 'DELETE' }),
        404,
        'nothing_to_delete',
      )
    })

    everywhere(
      'deletes a topic: readers that were behind get a gap, and the topic can be published to again',
      async () => {
        const topic = freshTopic()
        const ids = await publish(topic, '1', '2')
        await postJson(`/send?topic=${topic}`, { data: '3', close: true })
        expect(await json(await fetch(`/topics/${topic}`, { method: 'DELETE' }))).toEqual({ topic, erased: 3 })
        await publish(topic, 'new')
        const { reader } = await stream(`/event?topic=${topic}`, { 'last-event-id': ids[0]! })
        await reader.gets('new')
        expect(reader.control('gap')).toMatchObject([{ reason: 'trimmed', from: ids[0], exact: true }])
        const { reader: fresh } = await stream(`/event?topic=${topic}&from=earliest`)
        await fresh.gets('new')
        const refused: [string, RequestInit, number, string][] = [
          [freshTopic(), {}, 404, 'nothing_to_delete'],
          ['$store', {}, 403, 'forbidden'],
          [topic, { headers: { 'sec-fetch-site': 'cross-site' } }, 403, 'cross_site'],
          [`${topic}/zzzzzzzzzz-1`, {}, 404, 'nothing_to_delete'],
          ['%ff', {}, 400, 'encoding_invalid'],
        ]
        for (const [name, init, status, code] of refused)
          await expectProblem(await fetch(`/topics/${name}`, { ...init, method: 'DELETE' }), status, code)
        expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({ kept: 1 })
      },
    )
  })
}
