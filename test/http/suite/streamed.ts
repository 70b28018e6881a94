import { expect } from 'vitest'
import { runs } from '../../seed.ts'
import { type Client, RETRY } from './client.ts'

const KIB = 1024

/** Tests bodies that are published while they arrive. */
export function streamed({
  group,
  fetch,
  json,
  freshTopic,
  post,
  stream,
  upload,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  group('a streamed body', () => {
    everywhere('of NDJSON is published line by line as it arrives, and the answer counts its items', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const { answer, write, end } = upload(`/send?topic=${topic}`, 'application/x-ndjson')
      await write('{"data":"1"}\n{"data":{"n":2},"ev')
      await reader.gets('1')
      await write('ent":"e"}\r\n\n  \n')
      await reader.gets('1', '{"n":2}')
      await write('{"data":"é')
      await write('"}')
      await end()
      await reader.gets('1', '{"n":2}', 'é')
      expect(await json(await answer)).toEqual({
        taken: 3,
        lastId: reader.events.at(-1)!.id,
        topic,
        durability: expect.any(String),
      })
      expect(reader.events.at(-2)!.event).toBe('e')
    })

    everywhere(
      'of an event stream is published event by event, without its ids and retries; reserved names get a prefix',
      async () => {
        const topic = freshTopic()
        const { reader } = await stream(`/event?topic=${topic}`)
        const { answer, write, end } = upload(`/send?topic=${topic}`, 'text/event-stream; charset=utf-8')
        await write('\ufeff: a comment\nretry: 1\nid: 7\ndata: 1\n\n')
        await reader.gets('1')
        await write('event: tick\rdata: 2\rdata:  3\r\revent: hub.gap\r\ndata: 4\r\n\r\n')
        await write('event: error\ndata: 5\n\ndata: cut off before its end\n')
        await end()
        expect(await json(await answer)).toMatchObject({ taken: 4, topic, incomplete: true })
        await reader.gets('1', '2\n 3', '4', '5')
        expect(reader.events.slice(1).map(({ event }) => event)).toEqual([
          undefined,
          'tick',
          'upstream.hub.gap',
          'upstream.error',
        ])
        expect(reader.events.map(({ id }) => id)).not.toContain('7')
        expect(reader.retries).toEqual([RETRY])
      },
    )

    const bad: [string, string, number, string][] = [
      ['is not JSON', '{"data":', 400, 'body_invalid'],
      ['is not an object', '"x"', 400, 'body_invalid'],
      ['has no data', '{"event":"x"}', 400, 'data_missing'],
      ['has a bad event name', '{"data":"x","event":"hub.open"}', 400, 'event_invalid'],
      ['has the key of another message', '{"data":"x","key":"k"}', 409, 'key_conflict'],
      ['names another topic', '{"data":"x","topic":"$store"}', 400, 'topic_conflict'],
    ]
    for (const [what, line, status, code] of bad)
      it(`stops at an item that ${what}: items before it are published, items after it are not`, async () => {
        const topic = freshTopic()
        const good = Array.from({ length: 5 }, (_, i) => `{"data":"${i}","key":"${i === 0 ? 'k' : i}"}`)
        const body = [...good, line, '{"data":"after"}', ''].join('\n')
        const problem = await expectProblem(
          await post(`/send?topic=${topic}`, body, 'application/x-ndjson'),
          status,
          code,
        )
        expect(problem).toMatchObject({ taken: 5, detail: expect.stringContaining('item 5 of the stream') })
        expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({ kept: 5, lastId: problem.lastId })
        const { reader } = await stream(`/event?topic=${topic}&from=earliest`)
        await reader.gets('0', '1', '2', '3', '4')
      })

    everywhere(
      'that is sent again with the same Idempotency-Key after it was cut adds only what is missing',
      async () => {
        const topic = freshTopic()
        const lines = Array.from({ length: 300 }, (_, i) => `{"data":"${i}"}\n`)
        const first = upload(`/send?topic=${topic}`, 'application/x-ndjson', { 'idempotency-key': 'K' })
        await first.write(lines.slice(0, 100).join(''))
        await expect.poll(async () => (await json(await fetch(`/topics/${topic}`))).kept).toBe(100)
        await first.cut().catch(() => {})
        await first.answer.catch(() => {})
        const again = () =>
          fetch(`/send?topic=${topic}`, {
            method: 'POST',
            body: lines.join(''),
            headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': 'K' },
          }).then(json)
        const second = await again()
        expect(second).toMatchObject({ taken: 300, duplicates: 100 })
        expect(await again()).toEqual({ ...second, duplicates: 300 })
        const { reader } = await stream(`/event?topic=${topic}&from=earliest`)
        await expect.poll(() => reader.data).toEqual(lines.map((_, i) => `${i}`))
      },
    )

    everywhere('of thousands of items is published completely and in order', async () => {
      const topic = freshTopic()
      const count = runs(5000, 100_000)
      const lines = Array.from({ length: count }, (_, i) => `{"data":"${i}"}\n`).join('')
      expect(await json(await post(`/send?topic=${topic}`, lines, 'application/x-ndjson'))).toMatchObject({
        taken: count,
      })
      const { reader } = await stream(`/event?topic=${topic}&last=10000`)
      const last = Array.from(
        { length: Math.min(count, 10_000) },
        (_, i, { length } = { length: Math.min(count, 10_000) }) => `${count - length + i}`,
      )
      await expect.poll(() => reader.data.length, { timeout: 10_000 }).toBe(last.length)
      expect(reader.data).toEqual(last)
    })

    /** Bodies in pieces: each is an item up to the byte that completes it, or text that belongs to no item. */
    const bodies: [string, (readonly ['item' | 'none', string])[]][] = [
      [
        'application/x-ndjson',
        [
          ['item', '{"data":"1"}'],
          ['none', '\n\n'],
          ['item', '{"data":"é😀\\n"}'],
          ['none', '\r\n'],
          ['item', '{"data":{"n":[3]}}'],
          ['none', ' \n'],
        ],
      ],
      [
        'text/event-stream',
        [
          ['none', ': to begin with\n\n'],
          ['item', 'data: 1\n\n'],
          ['item', 'event: e\ndata: é😀\ndata\nid: 7\n\n'],
          ['none', '\n:'],
          ['none', '\n'],
          ['item', 'data:{"n":[3]}\r\n\r'],
          ['none', '\n: the end\r\n'],
        ],
      ],
    ]
    const DATA = ['1', 'é😀\n', '{"n":[3]}']
    for (const [type, pieces] of bodies)
      it(`of type ${type}, cut at any byte: the answer counts the complete items and says whether one is incomplete`, async () => {
        const topic = freshTopic()
        const bytes = new TextEncoder().encode(pieces.map(([, text]) => text).join(''))
        const ends: { isItem: boolean; end: number }[] = []
        for (const [what, text] of pieces)
          ends.push({ isItem: what === 'item', end: (ends.at(-1)?.end ?? 0) + new TextEncoder().encode(text).length })
        for (let cut = 0; cut <= bytes.length; cut++) {
          const taken = ends.filter(({ isItem, end }) => isItem && end <= cut).length
          const [piece] = ends.filter(({ end }) => end > cut)
          const begin = ends.findLast(({ end }) => end <= cut)?.end ?? 0
          const isIncomplete = piece?.isItem === true && cut > begin
          const answer = await json(await post(`/send?topic=${topic}/${cut}`, bytes.slice(0, cut), type))
          expect([cut, answer]).toEqual([
            cut,
            {
              taken,
              ...(isIncomplete && { incomplete: true }),
              lastId: taken === 0 ? null : expect.any(String),
              topic: `${topic}/${cut}`,
              durability: expect.any(String),
            },
          ])
          const poll = `/event?topic=${topic}/${cut}&from=earliest`
          const polled = await json(await fetch(poll, { headers: { accept: 'application/json' } }))
          const data = (polled.events as { data: string }[]).map((event) => event.data)
          expect([cut, data]).toEqual([cut, DATA.slice(0, taken)])
        }
      })

    const endings: [string, string, boolean][] = [
      ['application/x-ndjson', '{"data":"x"', true],
      ['application/x-ndjson', '{"data":"x"}', false],
      ['application/x-ndjson', ' \t', false],
      ['text/event-stream', 'data: x', true],
      ['text/event-stream', 'data: x\n', true],
      ['text/event-stream', 'data: x\r', true],
      ['text/event-stream', 'data\n: a comment\n', true],
      ['text/event-stream', 'data: x\n: a comment', true],
      ['text/event-stream', 'event: x\n', true],
      ['text/event-stream', 'id: 7\n', true],
      ['text/event-stream', 'd', true],
      ['text/event-stream', 'retry: 30', true],
      ['text/event-stream', 'retry: 3000\n', false],
      ['text/event-stream', 'event: x\n\n', false],
      ['text/event-stream', ': a comment', false],
      ['text/event-stream', ':\n\n:\n', false],
      ['text/event-stream', '\r\n\r\n', false],
    ]
    everywhere('is incomplete when it ends inside an item, not after an item or inside a comment', async () => {
      const answers: [string, string, boolean][] = []
      for (const [type, text] of endings) {
        const whole = await json(await post(`/send?topic=${freshTopic()}`, text, type))
        const inPieces = upload(`/send?topic=${freshTopic()}`, type)
        for (const character of text) await inPieces.write(character)
        await inPieces.end()
        expect([text, (await json(await inPieces.answer)).incomplete]).toEqual([text, whole.incomplete])
        answers.push([type, text, whole.incomplete === true])
      }
      expect(answers).toEqual(endings)
    })

    it('is incomplete when it ends inside a character, also outside of items', async () => {
      const texts = [
        ['application/x-ndjson', '{"data":"x"}é'],
        ['application/x-ndjson', '{"data":"x"}\n😀'],
        ['text/event-stream', 'data: x\n\né'],
        ['text/event-stream', 'data: x\n\n: a comment é'],
      ] as const
      for (const [type, text] of texts) {
        const bytes = new TextEncoder().encode(text).slice(0, -1)
        const { taken, incomplete } = await json(await post(`/send?topic=${freshTopic()}`, bytes, type))
        expect([text, taken, incomplete]).toEqual([text, text.includes('\n') ? 1 : 0, true])
      }
    })

    it('is refused when its last item is too large, or invalid however it might continue', async () => {
      const refusals: [string, string | Uint8Array<ArrayBuffer>, number, string][] = [
        ['application/x-ndjson', '{"data":"x"\n', 400, 'body_invalid'],
        ['application/x-ndjson', `${'['.repeat(40)}${']'.repeat(40)}`, 400, 'body_invalid'],
        ['application/x-ndjson', new Uint8Array([0x22, 0xff, 0x22]), 400, 'encoding_invalid'],
        ...['no JSON', "{'data':'x'}", '{"data":"x"}}', '{"data":"x",}', '{data:1}'].map(
          (text): [string, string, number, string] => ['application/x-ndjson', text, 400, 'body_invalid'],
        ),
        ['application/x-ndjson', `"${'x'.repeat(100 * KIB)}`, 413, 'body_too_large'],
        ['text/event-stream', new Uint8Array([0x64, 0xff, 0x22]), 400, 'encoding_invalid'],
        ['text/event-stream', `data: ${'x'.repeat(100 * KIB)}`, 413, 'body_too_large'],
      ]
      for (const [type, body, status, code] of refusals)
        await expectProblem(await post('/send?topic=a', body, type), status, code)
    })

    it('that is incomplete gets the full answer, also under Prefer: return=minimal', async () => {
      const topic = freshTopic()
      const headers = { 'content-type': 'application/x-ndjson', prefer: 'return=minimal', 'idempotency-key': 'K' }
      const send = (body: string) => fetch(`/send?topic=${topic}`, { method: 'POST', headers, body })
      const cut = await send('{"data":"1"}\n{"data":"')
      expect([cut.status, cut.headers.get('preference-applied')]).toEqual([200, null])
      const { lastId, ...answer } = await json(cut)
      expect(answer).toMatchObject({ taken: 1, incomplete: true })
      const whole = await send('{"data":"1"}\n{"data":"2"}\n')
      expect([whole.status, whole.headers.get('preference-applied')]).toEqual([204, 'return=minimal'])
      expect(whole.headers.get('tidings-id')).not.toBe(lastId)
      expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({ kept: 2 })
    })

    it('without items is answered with taken: 0', async () => {
      for (const type of ['application/x-ndjson', 'text/event-stream'])
        expect(await json(await post('/send?topic=a', '\n', type))).toMatchObject({ taken: 0, lastId: null })
    })
  })
}
