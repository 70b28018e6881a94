import { createMessageBatch, env } from 'cloudflare:test'
import { DurableObject } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import { type EntriesQuery, type Message, type Polled, type Published, TidingsHub } from '../../src/adapters/worker.ts'
import mine from './queue-consumer.ts'

/** This file runs inside workerd: each call crosses from this Worker to an object. */
interface Stub {
  publish(messages: Message | readonly Message[]): Promise<readonly Published[]>
  entries(query: EntriesQuery): Promise<Polled>
  fetch(request: Request): Promise<Response>
}
const hub = (name: string = crypto.randomUUID()) => env.HUBS.get(env.HUBS.idFromName(name)) as unknown as Stub

/** The message of the error that a call ends with. `expect().rejects` would call properties of the promise of RPC, as further calls. */
const refusal = async (call: Promise<unknown>) => {
  try {
    return await call
  } catch (cause) {
    return (cause as Error).message
  }
}

test('the class of the object extends DurableObject, which RPC needs', () => {
  expect(TidingsHub.prototype).toBeInstanceOf(DurableObject)
})

describe('by RPC, a stub', () => {
  test('publishes one message or several, which readers over HTTP get', async () => {
    const stub = hub()
    const [one] = await stub.publish({ topic: 'a', data: '1' })
    const more = await stub.publish([
      { topic: 'a', data: '2', event: 'news' },
      { topic: 'b', data: '3' },
    ])
    const seq = (published?: Published) => Number(published?.id.split('-')[1])
    expect(more.map(seq)).toEqual([seq(one) + 1, seq(one) + 2])
    const request = new Request('http://localhost/event?topic=**&from=earliest', {
      headers: { accept: 'application/json' },
    })
    const { events } = (await (await stub.fetch(request)).json()) as Polled
    expect(events.map(({ topic, event, data }) => [topic, event, data])).toEqual([
      ['a', 'message', '1'],
      ['a', 'news', '2'],
      ['b', 'message', '3'],
    ])
  })

  test('knows a key: the second publish is a duplicate, another payload is refused', async () => {
    const stub = hub()
    const [first] = await stub.publish({ topic: 'a', data: '1', key: 'k' })
    expect(await stub.publish({ topic: 'a', data: '1', key: 'k' })).toEqual([{ id: first!.id, duplicate: true }])
    expect(await refusal(stub.publish({ topic: 'a', data: '2', key: 'k' }))).toMatch(/^key_conflict: /)
  })

  test('refuses what HTTP refuses, with the code at the beginning of the message', async () => {
    const stub = hub()
    expect(await refusal(stub.publish({ topic: 'a b', data: '1' }))).toMatch(/^topic_invalid: /)
    expect(await refusal(stub.publish({ topic: '$revoked', data: '1' }))).toMatch(/^forbidden: /)
    expect(await refusal(stub.entries({ topics: 'a b' }))).toMatch(/^pattern_invalid: |^topic_invalid: /)
  })

  test('returns decoded entries, page by page, and the position to go on from', async () => {
    const stub = hub()
    const data = Array.from({ length: 10 }, (_, i) => `${i} ${'x'.repeat(10_000)}`)
    await stub.publish(data.map((data) => ({ topic: 'a', data })))
    await stub.publish({ topic: 'else', data: '' })
    const got: string[] = []
    let pages = 0
    for (let after = ''; ; pages++) {
      const page = await stub.entries({ topics: ['a'], from: 'earliest', after })
      if (page.events.length === 0) break
      got.push(...page.events.map((event) => event.data))
      after = page.position
    }
    expect(got).toEqual(data)
    expect(pages).toBeGreaterThan(1)
    expect((await stub.entries({ topics: 'a', from: { last: 2 } })).events).toHaveLength(2)
  })

  test('returns the closed topics when nothing can follow', async () => {
    const stub = hub()
    const [closed] = await stub.publish({ topic: 'a', data: '1', close: true })
    expect(await stub.entries({ topics: 'a', after: closed!.id })).toEqual({
      events: [],
      position: closed!.id,
      closed: ['a'],
    })
  })
})

test('a Queue consumer publishes a batch, and a batch that is delivered twice is published once', async () => {
  const body = { order: crypto.randomUUID() }
  const batch = createMessageBatch('orders', [{ id: body.order, timestamp: new Date(), attempts: 1, body }])
  for (let deliveries = 0; deliveries < 2; deliveries++) await mine.queue(batch as never, env as never)
  const { events } = await hub('main').entries({ topics: 'orders', from: 'earliest' })
  expect(events.map(({ data }) => JSON.parse(data)).filter(({ order }) => order === body.order)).toEqual([body])
})

test('a Worker of its own passes requests to the handler, with the binding of the objects alone', async () => {
  const health = await mine.fetch(new Request('http://localhost/health'), { HUBS: env.HUBS } as never)
  expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }])
})
