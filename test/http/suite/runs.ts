import { expect } from 'vitest'
import type { Client } from './client.ts'

type Json = Record<string, unknown>

/** Tests runs: claims, leases, stops and outcomes. */
export function runs({
  group,
  fetch,
  json,
  freshTopic,
  post,
  postJson,
  upload,
  stream,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  const claim = async (topic: string, query = '', headers: Record<string, string> = {}) =>
    fetch(`/runs/${topic}${query}`, { method: 'POST', headers })
  const claimed = async (topic: string, query = '', headers: Record<string, string> = {}) =>
    (await json(await claim(topic, query, headers))) as Json & { token: string }
  const send = (topic: string, token: string, value: unknown, headers: Record<string, string> = {}) =>
    fetch(`/send?topic=${topic}`, {
      method: 'POST',
      body: JSON.stringify(value),
      headers: { 'content-type': 'application/json', 'tidings-run': token, ...headers },
    })
  const change = (topic: string, token: string, value?: unknown) =>
    fetch(`/runs/${topic}`, {
      method: 'PATCH',
      headers: { 'tidings-run': token, ...(value !== undefined && { 'content-type': 'application/json' }) },
      ...(value !== undefined && { body: JSON.stringify(value) }),
    })
  const shown = async (topic: string) => json(await fetch(`/runs/${topic}`))
  const NDJSON = 'application/x-ndjson'
  const EVENTS = 'text/event-stream'

  group('runs', () => {
    everywhere(
      'a claim makes one producer, who publishes with its token and ends the run with an outcome',
      async () => {
        const topic = freshTopic()
        const { reader } = await stream(`/event?topic=${topic}`)
        const response = await claim(topic, '?lease=30s&grace=10s')
        expect(response.status).toBe(201)
        const { token, ...info } = (await json(response)) as Json & { token: string }
        expect(info).toEqual({
          ...{ topic, fence: 1, leaseMs: 30_000, graceMs: 10_000, isStopAsked: false, lastId: null },
          leaseEnd: expect.stringMatching(/Z$/),
        })
        await expectProblem(await claim(topic), 409, 'run_taken')
        await expectProblem(await postJson(`/send?topic=${topic}`, { data: 'x' }), 409, 'run_taken')
        await expectProblem(await send(topic, 'f'.repeat(32), { data: 'x' }), 409, 'run_lost')
        const { id } = await json(await send(topic, token, { data: '1' }))
        expect(await shown(topic)).toMatchObject({ topic, fence: 1, lastId: id })
        expect(JSON.stringify(await shown(topic))).not.toContain(token)
        const listed = await json(await fetch(`/topics/${topic}`))
        expect(listed).toMatchObject({ closed: false, run: { fence: 1, leaseMs: 30_000, isStopAsked: false } })
        expect(JSON.stringify(listed)).not.toContain(token)
        expect(await json(await change(topic, token))).toMatchObject({ fence: 1, lastId: id })
        const ended = await json(await change(topic, token, { outcome: 'failed', detail: 'no model' }))
        expect(ended).toMatchObject({ outcome: 'failed', detail: 'no model' })
        expect(ended).not.toHaveProperty('leaseEnd')
        expect(await json(await fetch(`/topics/${topic}`))).toMatchObject({
          closed: true,
          run: { fence: 1, outcome: 'failed', detail: 'no model' },
        })
        await expect.poll(() => reader.ended).toBe(true)
        expect(reader.control('closed')).toEqual([{ topic, outcome: 'failed', detail: 'no model' }])
        const late = await stream(`/event?topic=${topic}`)
        await expect.poll(() => late.reader.control('closed')).toEqual(reader.control('closed'))
        expect(
          await json(await fetch(`/event?topic=${topic}&from=earliest`, { headers: { accept: 'application/json' } })),
        ).toMatchObject({
          closed: [topic],
          ended: [{ topic, outcome: 'failed', detail: 'no model' }],
        })
        await expectProblem(await send(topic, token, { data: '2' }), 409, 'topic_closed')
        await expectProblem(await claim(topic), 409, 'topic_closed')
      },
    )

    everywhere('whose producer falls silent is closed as abandoned after its lease and grace', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const { token } = await claimed(topic, '?lease=2s&grace=100ms')
      await send(topic, token, { data: '1' })
      await expect.poll(() => reader.ended).toBe(true)
      expect(reader.data).toEqual(['1'])
      expect(reader.control('closed')).toEqual([{ topic, outcome: 'abandoned' }])
    })

    everywhere('a stop is told in every answer to the producer, also one asked before the claim', async () => {
      const topic = freshTopic()
      const early = await fetch(`/stop?topic=${topic}`, { method: 'POST' })
      expect([early.status, await json(early)]).toEqual([202, { topic, isStopAsked: true }])
      const { token, isStopAsked } = await claimed(topic)
      expect(isStopAsked).toBe(true)
      expect(await json(await send(topic, token, { data: '1' }))).toMatchObject({ stop: true })
      expect(await json(await send(topic, token, [{ data: '2' }]))).toMatchObject({ stop: true })
      expect(await json(await send(topic, token, { data: '3' }, { prefer: 'return=minimal' }))).toMatchObject({
        stop: true,
      })
      const streamed = {
        method: 'POST',
        body: '{"data":"4"}',
        headers: { 'content-type': NDJSON, 'tidings-run': token },
      }
      expect(await json(await fetch(`/send?topic=${topic}`, streamed))).toMatchObject({ taken: 1, stop: true })
      await expectProblem(await fetch('/send', streamed), 400, 'topic_missing')
      await expectProblem(await fetch(`/send?topic=${topic}&run=15s`, streamed), 400, 'parameter_invalid')
      expect(await json(await change(topic, token))).toMatchObject({ isStopAsked: true })

      const other = freshTopic()
      const unclaimed = await fetch(`/stop?topic=${other}&fence=1`, { method: 'POST' })
      expect([unclaimed.status, await json(unclaimed)]).toEqual([202, { topic: other, isStopAsked: false }])
      const run = await claimed(other)
      expect(await json(await send(other, run.token, { data: '1' }))).not.toHaveProperty('stop')
      expect(await json(await fetch(`/stop?topic=${other}&fence=2`, { method: 'POST' }))).toMatchObject({
        isStopAsked: false,
      })
      expect(await json(await fetch(`/stop?topic=${other}&fence=1`, { method: 'POST' }))).toMatchObject({
        isStopAsked: true,
      })
      expect(await json(await change(other, run.token, { outcome: 'stopped' }))).toMatchObject({ outcome: 'stopped' })
    })

    it('deleting a topic forgets a stop that was asked before its first claim', async () => {
      const topic = freshTopic()
      await fetch(`/stop?topic=${topic}`, { method: 'POST' })
      await expectProblem(await fetch(`/topics/${topic}`, { method: 'DELETE' }), 404, 'nothing_to_delete')
      expect(await claimed(topic)).toMatchObject({ isStopAsked: false })
    })

    it('a producer with the key of the claim takes over at once, others after the lease', async () => {
      const topic = freshTopic()
      const key = { 'idempotency-key': 'me' }
      const first = await claimed(topic, '?lease=1500ms&grace=1m', key)
      const second = await claimed(topic, '?lease=1500ms&grace=1m', key)
      expect(second.fence).toBe(2)
      await expectProblem(await send(topic, first.token, { data: 'x' }), 409, 'run_lost')
      await expectProblem(await change(topic, first.token), 409, 'run_lost')
      const refused = await claim(topic, '', { 'idempotency-key': 'other' })
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
      await expectProblem(refused, 409, 'run_taken')
      await send(topic, second.token, { data: '1' })
      await expect.poll(async () => (await claim(topic)).status).toBe(201)
      await expectProblem(await send(topic, second.token, { data: 'x' }), 409, 'run_lost')
    })

    it('are listed by topic, page by page, and forgotten when their topic is deleted', async () => {
      const base = freshTopic()
      for (const name of ['c', 'a', 'b']) await claim(`${base}/${name}`)
      const page = await json(await fetch(`/runs?prefix=${base}/&limit=2`))
      expect(page).toMatchObject({ runs: [{ topic: `${base}/a` }, { topic: `${base}/b` }], next: `${base}/b` })
      const rest = await json(await fetch(`/runs?prefix=${base}/&after=${page.next}`))
      expect((rest.runs as Json[]).map(({ topic }) => topic)).toEqual([`${base}/c`])
      expect(await json(await fetch(`/topics/${base}/a`, { method: 'DELETE' }))).toMatchObject({ erased: 0 })
      await expectProblem(await fetch(`/runs/${base}/a`), 404, 'run_unknown')
      await expectProblem(await fetch(`/topics/${base}/a`, { method: 'DELETE' }), 404, 'nothing_to_delete')
    })

    it('refuse what is wrong with a reason, and change nothing', async () => {
      const topic = freshTopic()
      for (const query of ['?lease=0s', '?lease=99ms', '?lease=2h', '?lease=abc', '?grace=61m', '?lease=1s&lease=2s'])
        expect([query, (await claim(topic, query)).status]).toEqual([query, 400])
      await expectProblem(await claim('$store'), 403, 'forbidden')
      await expectProblem(await claim('a/*'), 400, 'topic_invalid')
      await expectProblem(await fetch(`/runs/${topic}`), 404, 'run_unknown')
      await expectProblem(await fetch('/stop', { method: 'POST' }), 400, 'topic_missing')
      await expectProblem(await fetch(`/stop?topic=${topic}`), 405, 'method_not_allowed')
      const { token } = await claimed(topic)
      await expectProblem(await fetch(`/runs/${topic}`, { method: 'PATCH' }), 409, 'run_lost')
      for (const ending of [{ outcome: 'abandoned' }, { outcome: 1 }, { outcom: 'done' }, []])
        await expectProblem(await change(topic, token, ending), 400, 'body_invalid')
      for (const ending of [
        { outcome: 'done', detail: 'x' },
        { outcome: 'failed', detail: 'x'.repeat(1001) },
      ])
        await expectProblem(await change(topic, token, ending), 400, 'outcome_invalid')
      await expectProblem(await send(topic, token, { data: 'x', outcome: 'failed' }), 400, 'outcome_invalid')
      await expectProblem(
        await postJson(`/send?topic=${topic}`, { close: true, outcome: 'failed' }),
        400,
        'outcome_invalid',
      )
      await expectProblem(await postJson(`/send?topic=${topic}&run=15s`, { data: 'x' }), 400, 'parameter_invalid')
      await expectProblem(await post(`/send?topic=${topic}&done=x`, '{"data":"x"}', NDJSON), 400, 'parameter_invalid')
      await expectProblem(await post('/send?run=15s', '{"data":"x"}', NDJSON), 400, 'topic_missing')
      await expectProblem(await post(`/send?topic=${topic}&run=soon`, '{"data":"x"}', NDJSON), 400, 'parameter_invalid')
      expect(await shown(topic)).toMatchObject({ fence: 1, lastId: null })
    })
  })

  group('a streamed body as a run', () => {
    everywhere('ends the run by an item that closes its topic, or by [DONE], and never by its end alone', async () => {
      for (const [type, first, last] of [
        [NDJSON, '{"data":"1"}\n', '{"data":"2","close":true}\n'],
        [EVENTS, 'data: 1\n\n', 'data: [DONE]\n\n'],
      ] as const) {
        const topic = freshTopic()
        const { reader } = await stream(`/event?topic=${topic}`)
        const { answer, write, end } = upload(`/send?topic=${topic}&run=30s`, type)
        await write(first)
        await reader.gets('1')
        await expectProblem(await postJson(`/send?topic=${topic}`, { data: 'x' }), 409, 'run_taken')
        await write(last)
        expect(await json(await answer)).toMatchObject({ taken: 2, ended: true, topic, fence: 1 })
        await expect.poll(() => reader.ended).toBe(true)
        expect(reader.data).toEqual(['1', type === NDJSON ? '2' : '[DONE]'])
        expect(reader.control('closed')).toEqual([{ topic, outcome: 'done' }])
        await end()
      }
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const answer = await post(`/send?topic=${topic}&run=2s&grace=0s`, 'data: 1\n\ndata: 2\n\n', EVENTS)
      expect(await json(answer)).toEqual({
        ...{ taken: 2, topic, fence: 1, lastId: expect.any(String), durability: expect.any(String) },
        leaseEnd: expect.any(String),
      })
      expect(reader.ended).toBe(false)
      await expect.poll(() => reader.ended).toBe(true)
      expect(reader.control('closed')).toEqual([{ topic, outcome: 'abandoned' }])
    })

    it('takes its bytes, comments included, for signs of life, and an open connection for none', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const { answer, write } = upload(`/send?topic=${topic}&run=1500ms&grace=0s`, EVENTS)
      await write('data: 1\n\n')
      for (let i = 0; i < 10; i++) {
        await new Promise((resolve) => setTimeout(resolve, 200))
        await write(':\n')
      }
      expect(reader.ended).toBe(false)
      await expect.poll(() => reader.ended).toBe(true)
      expect(reader.control('closed')).toEqual([{ topic, outcome: 'abandoned' }])
      await expectProblem(await answer, 409, 'run_lost')
    })

    everywhere('a stop ends the body and the run, and the answer tells how much was taken', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const { answer, write } = upload(`/send?topic=${topic}&run=30s`, EVENTS)
      await write('data: 1\n\ndata: 2\n\n')
      await reader.gets('1', '2')
      await fetch(`/stop?topic=${topic}`, { method: 'POST' })
      expect(await json(await answer)).toMatchObject({ stopped: true, taken: 2, topic, fence: 1 })
      await expect.poll(() => reader.ended).toBe(true)
      expect(reader.control('closed')).toEqual([{ topic, outcome: 'stopped' }])
    })

    it('taken up again with the same key ends the old body, and goes on after its items', async () => {
      const topic = freshTopic()
      const key = { 'idempotency-key': 'k' }
      const { reader } = await stream(`/event?topic=${topic}`)
      const old = upload(`/send?topic=${topic}&run=30s`, EVENTS, key)
      await old.write('data: 1\n\ndata: 2\n\n')
      await reader.gets('1', '2')
      const other = await post(`/send?topic=${topic}&run=30s`, 'data: x\n\n', EVENTS)
      await expectProblem(other, 409, 'run_taken')
      const again = await fetch(`/send?topic=${topic}&run=30s`, {
        method: 'POST',
        body: 'data: 1\n\ndata: 2\n\ndata: 3\n\ndata: [DONE]\n\n',
        headers: { 'content-type': EVENTS, ...key },
      })
      expect(await json(again)).toMatchObject({ taken: 4, duplicates: 2, ended: true, fence: 2 })
      await expectProblem(await old.answer, 409, 'run_lost')
      await expect.poll(() => reader.ended).toBe(true)
      expect(reader.data).toEqual(['1', '2', '3', '[DONE]'])
    })

    it('sent again with the same key after its run has ended gets its answer again', async () => {
      const key = { 'idempotency-key': 'k' }
      for (const [type, body] of [
        [NDJSON, '{"data":"1"}\n{"close":true,"outcome":"failed"}\n'],
        [EVENTS, 'data: 1\n\ndata: [DONE]\n\n'],
      ] as const) {
        const path = `/send?topic=${freshTopic()}&run=30s`
        const send = () => fetch(path, { method: 'POST', body, headers: { 'content-type': type, ...key } })
        const first = await json(await send())
        expect(first).toMatchObject({ taken: 2, ended: true, fence: 1 })
        expect(await json(await send())).toEqual({ ...first, duplicates: 2 })
        await expectProblem(await post(path, body, type), 409, 'topic_closed')
        const longer = { method: 'POST', body: `${body}${body}`, headers: { 'content-type': type, ...key } }
        expect(await json(await fetch(path, longer)), 'nothing is read after the end').toMatchObject({ taken: 2 })
      }
      const topic = freshTopic()
      const path = `/send?topic=${topic}&run=30s`
      const { reader } = await stream(`/event?topic=${topic}`)
      const { answer, write } = upload(path, EVENTS, key)
      await write('data: 1\n\n')
      await reader.gets('1')
      await fetch(`/stop?topic=${topic}`, { method: 'POST' })
      const stopped = await json(await answer)
      const sendAgain = (body: string) =>
        fetch(path, { method: 'POST', body, headers: { 'content-type': EVENTS, ...key } })
      expect(await json(await sendAgain('data: 1\n\n'))).toEqual(stopped)
      expect(await json(await sendAgain('data: 1\n\ndata: 2\n\ndata: [DONE]\n\n'))).toEqual(stopped)
      await expectProblem(await sendAgain('data: another\n\n'), 409, 'key_conflict')
    })

    it('sent again with the same key after its run was abandoned is refused, and told how much of it is there', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const send = () =>
        fetch(`/send?topic=${topic}&run=500ms&grace=0s`, {
          method: 'POST',
          body: 'data: 1\n\n',
          headers: { 'content-type': EVENTS, 'idempotency-key': 'k' },
        })
      const { lastId } = await json(await send())
      await expect.poll(() => reader.ended).toBe(true)
      expect(await expectProblem(await send(), 409, 'topic_closed')).toMatchObject({ taken: 1, lastId })
    })

    it('reads nothing after its end, also where it arrives together with it', async () => {
      const topic = freshTopic()
      const body = 'data: 1\n\ndata: [DONE]\n\ndata: after\n\n'
      const answer = await post(`/send?topic=${topic}&run=30s`, body, EVENTS)
      expect(await json(answer)).toMatchObject({ taken: 2, ended: true })
    })

    it('keeps its run for a lease from its last byte on', async () => {
      const topic = freshTopic()
      const { reader } = await stream(`/event?topic=${topic}`)
      const { answer, write } = upload(`/send?topic=${topic}&run=1500ms&grace=0s`, EVENTS)
      await write('data: 1\n\n')
      await reader.gets('1')
      await new Promise((resolve) => setTimeout(resolve, 250))
      const last = performance.now()
      await write(':\n')
      await expect.poll(() => reader.ended).toBe(true)
      expect(performance.now() - last).toBeGreaterThan(1450)
      await expectProblem(await answer, 409, 'run_lost')
    })

    it('of NDJSON ends at no data: [DONE] is data there, and done is refused', async () => {
      const topic = freshTopic()
      const refused = await post(`/send?topic=${topic}&run=30s&done=end`, '{"data":"end"}', NDJSON)
      await expectProblem(refused, 400, 'parameter_invalid')
      await expectProblem(await fetch(`/runs/${topic}`), 404, 'run_unknown')
      const body = '{"data":"[DONE]"}\n{"data":"2","close":true}\n'
      const answer = await post(`/send?topic=${topic}&run=30s`, body, NDJSON)
      expect(await json(answer)).toMatchObject({ taken: 2, ended: true })
    })

    it('ends at the event that done names', async () => {
      const topic = freshTopic()
      const body = 'data: [DONE]\n\ndata: end\n\n'
      const answer = await post(`/send?topic=${topic}&run=30s&done=end`, body, EVENTS)
      expect(await json(answer)).toMatchObject({ taken: 2, ended: true })
      expect(await shown(topic)).toMatchObject({ outcome: 'done' })
    })
  })
}
