import { expect } from 'vitest'
import { type Client, RETRY } from './client.ts'

const KIB = 1024

/** Tests publishing: JSON, text, forms and lists. */
export function publish({
  group,
  fetch,
  json,
  freshTopic,
  post,
  postJson,
  publish,
  stream,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  group('topics', () => {
    everywhere('deliver what is published as JSON, with its event name, retry and id', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const answer = await json(await postJson(`/send?topic=${topic}`, { data: '{"n":1}', event: 'tick', retry: 2000 }))
      expect(answer).toEqual({
        id: expect.any(String),
        topic,
        durability: expect.stringMatching(/^(memory|process|disk|quorum)$/),
      })
      await reader.gets('{"n":1}')
      expect(reader.events.at(-1)).toEqual({ event: 'tick', data: '{"n":1}', id: answer.id })
      expect(reader.retries).toEqual([RETRY, 2000])
    })

    everywhere('deliver plain text, and may be named in the body', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      await post(`/send?topic=${topic}`, ' two\nlines ', 'text/plain; charset=utf-8')
      await postJson('/send', { topic, data: '' })
      await reader.gets(' two\nlines ', '')
    })

    it('are delivered from bodies whose charset is any name of UTF-8 or of ASCII, which is a part of UTF-8', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const types = ['utf-8', '"utf-8"', 'UTF-8; format=flowed', 'utf8', 'UTF8', 'us-ascii', '"US-ASCII"']
      for (const charset of types) await post(`/send?topic=${topic}`, 'é', `text/plain; charset=${charset}`)
      await post(`/send?topic=${topic}`, '{"data":"é"}\n', 'application/x-ndjson; charset=utf-8')
      await post(`/send?topic=${topic}`, 'data: é\n\n', 'text/event-stream;charset=utf8')
      await reader.gets(...Array(types.length + 2).fill('é'))
    })

    it('are delivered from JSON with a byte order mark; plain text keeps its mark', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      for (const body of ['{"data":"1"}', '[{"data":{"n":2}}]'])
        expect((await post(`/send?topic=${topic}`, `\ufeff${body}`, 'application/json')).status).toBe(200)
      await post(`/send?topic=${topic}`, '\ufeff{"data":"3"}', 'application/x-ndjson')
      await post(`/send?topic=${topic}`, '\ufeff4', 'text/plain')
      await reader.gets('1', '{"n":2}', '3', '\ufeff4')
    })

    everywhere('deliver data of exactly 60 KiB', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const data = 'é'.repeat(30 * KIB)
      expect((await post(`/send?topic=${topic}`, data, 'text/plain')).status).toBe(200)
      await reader.gets(data)
    })

    it('begin with hub.open, whose id is the head', async () => {
      const topic = freshTopic()
      const [id] = await publish(topic, 'before')
      const { reader } = await stream(`/event?topic=${topic}`)
      await expect.poll(() => reader.events.length).toBe(1)
      expect(reader.events[0]).toEqual({
        event: 'hub.open',
        data: expect.stringMatching(/^{"state":"live","stream":"[0-9a-f]{32}"}$/),
        id,
      })
    })

    const formData = new FormData()
    for (const [name, value] of [
      ['data', 'by multipart'],
      ['event', 'e'],
      ['retry', '2000'],
    ] as const)
      formData.append(name, value)
    for (const [kind, body] of [
      ['a url-encoded form', new URLSearchParams('data=by+form&event=e&retry=2000')],
      ['a multipart form', formData],
    ] as const)
      everywhere(`deliver what is published as ${kind}, and may be named in it`, async () => {
        const topic = freshTopic()
        const { reader } = await stream(`/event?topic=${topic}`)
        const { id } = await json(await post(`/send?topic=${topic}`, body))
        await expect.poll(() => reader.data.length).toBe(1)
        expect(reader.events.at(-1)).toMatchObject({ event: 'e', id })
        expect(reader.retries).toEqual([RETRY, 2000])
        const named = new URLSearchParams({ topic, data: 'named in the form' })
        expect(await json(await post('/send', named))).toMatchObject({ topic })
      })

    everywhere('deliver all messages of a list or none, with consecutive ids', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}/*`)
      const list = [
        { topic: `${topic}/a`, data: '1' },
        { topic: `${topic}/b`, data: '2', event: 'e' },
        { topic: `${topic}/a`, data: '3', key: 'k' },
      ]
      const answer = await json(await postJson('/send', list))
      const ids = answer.ids as string[]
      expect(answer).toEqual({ ids, topics: list.map((m) => m.topic), durability: expect.any(String) })
      await reader.gets('1', '2', '3')
      expect(reader.events.slice(1).map(({ id }) => id)).toEqual(ids)
      const seqs = ids.map((id) => Number(id.split('-')[1]))
      expect(seqs).toEqual([seqs[0], seqs[0]! + 1, seqs[0]! + 2])
      await expectProblem(
        await postJson('/send', [...list.slice(0, 2), { topic: 'a b', data: 'x' }]),
        400,
        'topic_invalid',
      )
      await expectProblem(await postJson('/send', [list[0], { ...list[2], data: 'other' }]), 409, 'key_conflict')
      expect(
        await json(await postJson(`/send?topic=${topic}/a`, [{ data: '3', key: 'k' }, { data: '4' }])),
      ).toMatchObject({
        ids: [ids[2], expect.any(String)],
        topic: `${topic}/a`,
        duplicates: 1,
      })
      await reader.gets('1', '2', '3', '4')
    })

    it('accept a list of exactly 1000 messages', async () => {
      const topic = freshTopic()
      const answer = await json(
        await postJson(
          `/send?topic=${topic}`,
          Array.from({ length: 1000 }, () => ({ data: '' })),
        ),
      )
      expect(answer.ids).toHaveLength(1000)
    })

    it('answer 204 with the newest id in a header under Prefer: return=minimal', async () => {
      const topic = freshTopic()
      const headers = { 'content-type': 'application/json', prefer: 'respond-async, return=minimal' }
      for (const body of ['{"data":"x"}', '[{"data":"y"},{"data":"z"}]']) {
        const response = await fetch(`/send?topic=${topic}`, { method: 'POST', headers, body })
        expect([response.status, await response.text()]).toEqual([204, ''])
        expect(response.headers.get('preference-applied')).toBe('return=minimal')
        const { lastId } = await json(await fetch(`/topics/${topic}`))
        expect(response.headers.get('tidings-id')).toBe(lastId)
      }
    })

    everywhere('are delivered to all readers in one order, also from concurrent publishers', async () => {
      const topic = freshTopic()
      const all = await Promise.all(Array.from({ length: 4 }, () => stream(`/event?topic=${topic}/*`)))
      await Promise.all(Array.from({ length: 40 }, (_, i) => publish(`${topic}/${i % 3}`, `${i}`)))
      await Promise.all(all.map(({ reader }) => expect.poll(() => reader.data.length).toBe(40)))
      const orders = all.map(({ reader }) =>
        reader.events
          .slice(1)
          .map(({ id, data }) => `${id} ${data}`)
          .join(),
      )
      expect(new Set(orders).size).toBe(1)
      const seqs = all[0]!.reader.events.slice(1).map(({ id }) => Number(id!.split('-')[1]))
      expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
    })
  })
}
