import { expect } from 'vitest'
import type { Client } from './client.ts'

/** Tests `control=false`, as far as a hub with any settings allows: the ends that need settings are in `test/clients/whole.test.ts`. */
export function bare({
  group,
  fetch,
  freshTopic,
  json,
  postJson,
  publish,
  expectProblem,
  it,
  everywhere,
}: Client): void {
  group('with control=false', () => {
    const ask = (query: string, headers: Record<string, string> = {}) =>
      fetch(`/event?control=false&${query}`, { headers: { accept: 'text/event-stream', ...headers } })

    everywhere('a stream holds only what was published, and ends cleanly when its topics are closed', async () => {
      const topic = freshTopic()
      const [first] = await publish(`${topic}/a`, 'one')
      const answer = await ask(`topic=${topic}/a&topic=${topic}/b&from=earliest`)
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
      const text = answer.text()
      const { id: second } = await json(
        await postJson(`/send?topic=${topic}/a`, { data: 'two', event: 'end', close: true }),
      )
      await postJson(`/send?topic=${topic}/b`, { close: true })
      const fields = (await text)
        .replace(/^:\n/gm, '') // a comment ends the line before, or is a heartbeat
        .replace(/^retry: \d{5}\n$/m, 'retry: …\n')
        .replace(/^retry: [3-6]\d{3}\n/, 'retry: RETRY\n')
      expect(fields).toBe(`retry: RETRY\ndata: one\nid: ${first}\n\nevent: end\ndata: two\nid: ${second}\n\nretry: …\n`)
      const again = await ask(`topic=${topic}/a&lastEventId=${first}&envelope=true`)
      expect((await again.text()).match(/^data: .*$/gm)?.map((line) => JSON.parse(line.slice(6)))).toEqual([
        { topic: `${topic}/a`, event: 'end', data: 'two', time: expect.any(String) },
      ])
      expect((await ask(`topic=${topic}/a&lastEventId=${second}`)).status).toBe(204)
    })

    everywhere(
      'a stream is whole after a run that is done, and breaks off after any other, live and late',
      async () => {
        const read = (answer: Response) => answer.text()
        const isWhole = (text: string) => text.includes('data: part\n')
        const isBroken = () => false
        for (const outcome of ['done', 'failed', 'stopped', 'abandoned']) {
          const topic = freshTopic()
          await publish(topic, 'part')
          const live = read(await ask(`topic=${topic}&from=earliest`)).then(isWhole, isBroken)
          const times = outcome === 'abandoned' ? 'lease=1s&grace=0s' : 'lease=1m'
          const claim = await fetch(`/runs/${topic}?${times}`, { method: 'POST' })
          const { token } = (await json(claim)) as { token: string }
          const end = {
            method: 'PATCH',
            body: JSON.stringify({ outcome }),
            headers: { 'content-type': 'application/json', 'tidings-run': token },
          }
          if (outcome !== 'abandoned') expect((await fetch(`/runs/${topic}`, end)).status).toBe(200)
          await expect.poll(async () => (await json(await fetch(`/runs/${topic}`))).outcome).toBe(outcome)
          // Bun and Node with CARRIER=stream reset the connection, and the reset may overtake even the head of the answer.
          const late = ask(`topic=${topic}&from=earliest`).then(read).then(isWhole, isBroken)
          expect([outcome, await live, await late]).toEqual([outcome, outcome === 'done', outcome === 'done'])
        }
      },
    )

    everywhere(
      'a stream that cannot begin where it was asked to is refused with 410, and says what a hub.gap says',
      async () => {
        const topic = freshTopic()
        const [id] = await publish(topic, '1')
        const [epoch, seq] = id!.split('-')
        const positions = { unknown: 'no position', epoch: 'zzzzzzzzzz-3', ahead: `${epoch}-${Number(seq) + 1000}` }
        for (const [reason, position] of Object.entries(positions))
          for (const accept of ['text/event-stream', '*/*']) {
            const refused = await ask(`topic=${topic}`, { accept, 'last-event-id': position })
            const from = reason === 'unknown' ? null : position
            expect(await expectProblem(refused, 410, 'gap')).toMatchObject({
              gap: { reason, from, to: expect.stringMatching(/-\d+$/), exact: false },
            })
          }
      },
    )

    it('the answer is a stream for a client that accepts only JSON too, as that of openai does', async () => {
      const topic = freshTopic()
      await postJson(`/send?topic=${topic}`, { data: 'x', close: true })
      const answer = await ask(`topic=${topic}&from=earliest`, { accept: 'application/json' })
      expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
      expect(await answer.text()).toContain('data: x\n')
    })

    it('needs a topic, is true or false, and does not go with gaps=true', async () => {
      const refusals = {
        'control=false': 'Cannot use control without a topic: name one',
        'topic=a&control=no': 'Cannot use "no" as control: expected true or false',
        'topic=a&control=false&latest=true&gaps=true':
          'Cannot use gaps with control=false: it reports them in control events',
      }
      for (const [query, why] of Object.entries(refusals)) {
        const { detail } = await expectProblem(await fetch(`/event?${query}`), 400, 'parameter_invalid')
        expect(detail).toBe(why)
      }
    })
  })
}
