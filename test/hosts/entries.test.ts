import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type Delivered,
  type EntriesOptions,
  Hub,
  type Log,
  type LogOptions,
  type Message,
  memoryLog,
} from '../../src/index.ts'
import { nextTurn } from '../../src/turn.ts'

let hub: Hub

const open = (options: Partial<LogOptions> = {}) => {
  const log = memoryLog(options)
  hub = new Hub(() => log)
}

beforeEach(() => open())
afterEach(() => hub.close())

const say = (topic: string, data: string) => hub.publish({ topic, data })
const brief = (item: Delivered) => (item.kind === 'gap' ? `gap ${item.reason}` : `${item.topic} ${item.data}`)

async function all(topics: string | readonly string[], options: EntriesOptions): Promise<string[]> {
  const items: string[] = []
  for await (const item of hub.entries(topics, options)) items.push(brief(item))
  return items
}

/** Collects items while the test goes on. */
function collect(topics: string | readonly string[], options: EntriesOptions = {}) {
  const items: string[] = []
  const done = (async () => {
    for await (const item of hub.entries(topics, options)) items.push(brief(item))
  })()
  done.catch(() => {})
  return { items, done }
}

describe('publish', () => {
  test('of one message gives one result, of a list a list', async () => {
    const one = await hub.publish({ topic: 'a', data: 'x', key: 'k' })
    expect(one).toEqual({ id: expect.stringMatching(/-1$/), duplicate: false })
    const list = await hub.publish([{ topic: 'a', data: 'x', key: 'k' }])
    expect(list).toEqual([{ id: one.id, duplicate: true }])
    await expect(hub.publish({ topic: 'a b', data: '' })).rejects.toMatchObject({ code: 'topic_invalid' })
  })
})

describe('entries', () => {
  test('are decoded: id, topic, event, data, time, and what the publisher has added', async () => {
    const before = Date.now()
    const { id } = await hub.publish({ topic: 'a', data: 'one\ntwo', event: 'said', retry: 700, close: true })
    const [item] = await Array.fromAsync(hub.entries('a', { until: 'now' }))
    expect(item).toEqual({
      ...{ kind: 'entry', id, topic: 'a', event: 'said', data: 'one\ntwo', retry: 700, close: true },
      ...{ outcome: 'done', time: expect.any(Number) },
    })
    expect((item as { time: number }).time).toBeGreaterThanOrEqual(before)
    await hub.publish({ topic: 'b', close: true })
    expect(await Array.fromAsync(hub.entries('b', { until: 'now' }))).toEqual([
      {
        kind: 'entry',
        id: expect.any(String),
        topic: 'b',
        event: 'message',
        time: expect.any(Number),
        close: true,
        outcome: 'done',
      },
    ])
  })

  test('until now are those that the log had at the call, of topics and patterns, in order', async () => {
    for (const n of Array(200).keys()) await say(n % 2 ? 'a/1' : 'b', `${n}`)
    const iterator = hub.entries(['a/*', 'b'], { until: 'now' })
    await say('b', 'later')
    const items = await Array.fromAsync(iterator)
    expect(items.map(brief)).toEqual(Array.from({ length: 200 }, (_, n) => `${n % 2 ? 'a/1' : 'b'} ${n}`))
    expect(await all('c', { until: 'now' })).toEqual([])
  })

  test('begin after an id, with the newest ones, at a time, or with the next one', async () => {
    await say('a', '1')
    const { id } = await say('a', '2')
    await say('b', '3')
    await say('a', '4')
    expect(await all('a', { after: id, until: 'now' })).toEqual(['a 4'])
    expect(await all('**', { from: { last: 2 }, until: 'now' })).toEqual(['b 3', 'a 4'])
    expect(await all('a', { from: { since: Date.now() + 60_000 }, until: 'now' })).toEqual([])
    const next = hub.entries('a', { from: 'now' })
    await say('a', '5')
    expect(brief((await next.next()).value!)).toBe('a 5')
    await next.return!()
  })

  test('go on as they are published, each once and in order, however slow the program is', async () => {
    await say('a', '0')
    const seen: string[] = []
    const done = (async () => {
      for await (const item of hub.entries('a')) {
        seen.push(brief(item))
        if (seen.length % 7 === 0) await nextTurn()
        if (seen.length === 300) return
      }
    })()
    for (const n of Array(299).keys()) {
      await hub.publish([
        { topic: 'other', data: 'x' },
        { topic: 'a', data: `${n + 1}` },
      ])
      if (n % 50 === 0) await nextTurn()
    }
    await done
    expect(seen).toEqual(Array.from({ length: 300 }, (_, n) => `a ${n}`))
  })

  test('until closed end with the last entry of the last topic, also if it was closed before, and never for a pattern', async () => {
    await say('a', '1')
    const both = collect(['a', 'b'], { until: 'closed' })
    await hub.publish({ topic: 'a', data: '2', close: true })
    await say('b', '3')
    await expect.poll(() => both.items).toEqual(['a 1', 'a 2', 'b 3'])
    await hub.publish({ topic: 'b', close: true })
    await both.done
    expect(both.items).toEqual(['a 1', 'a 2', 'b 3', 'b undefined'])
    expect(await all('a', { until: 'closed' })).toEqual(['a 1', 'a 2'])
    expect(await all('a', { until: 'closed', from: 'now' })).toEqual([])
    expect(() => hub.entries('a/*', { until: 'closed' })).toThrow(
      expect.objectContaining({ code: 'parameter_invalid' }),
    )
  })

  test('report what is gone as a gap, at its place and with its bounds, and never twice', async () => {
    open({ retention: { topicCount: 2 } })
    const [first] = await hub.publish(['a', 'b', 'a', 'a', 'a', 'b'].map((topic, n) => ({ topic, data: `${n}` })))
    const [item, ...rest] = await Array.fromAsync(hub.entries(['a', 'b'], { after: first!.id, until: 'now' }))
    const [epoch] = first!.id.split('-')
    expect(item).toEqual({
      ...{ kind: 'gap', id: `${epoch}-1`, reason: 'trimmed', from: `${epoch}-1`, to: `${epoch}-3`, exact: true },
    })
    expect(rest.map(brief)).toEqual(['b 1', 'a 3', 'a 4', 'b 5'])
    expect(await all(['a', 'b'], { until: 'now' })).toEqual(['b 1', 'a 3', 'a 4', 'b 5']) // asked for what is kept
    expect(await all('a', { after: 'no position', until: 'now' })).toEqual(['gap unknown'])
    expect(await all('a', { after: 'aaaaaaaaaa-1', until: 'now' })).toEqual(['gap epoch', 'a 3', 'a 4'])
    expect(await all('a', { after: `${epoch}-99`, until: 'now' })).toEqual(['gap ahead'])
  })

  test('report a topic that is deleted while the program is behind, and do not give its entries', async () => {
    for (const n of Array(10).keys()) await say('a', `${n}`)
    const items: string[] = []
    for await (const item of hub.entries('a', { until: 'now' })) {
      items.push(brief(item))
      if (items.length === 3) await hub.directory.erase('a')
    }
    expect(items).toEqual(['a 0', 'a 1', 'a 2', 'gap trimmed'])
  })

  test('go on in the log that replaces the log, after a gap that says so, also while they wait', async () => {
    const { log, replace } = replaceable()
    hub = new Hub(() => log)
    const { items, done } = collect('a')
    const { id } = await say('a', 'old')
    await expect.poll(() => items).toEqual(['a old'])
    await replace([{ topic: 'a', data: 'of the other log' }])
    await expect.poll(() => items).toEqual(['a old', 'gap epoch', 'a of the other log'])
    await say('a', 'new')
    await expect.poll(() => items.at(-1)).toBe('a new')
    expect(await all('a', { after: id, until: 'now' })).toEqual(['gap epoch', 'a of the other log', 'a new'])
    await hub.close()
    await expect(done).rejects.toMatchObject({ code: 'draining' })
  })

  test('end without an error when the signal aborts, and when the program leaves while it waits', async () => {
    const leaving = new AbortController()
    const { items, done } = collect('a', { signal: leaving.signal })
    await say('a', '1')
    await expect.poll(() => items).toEqual(['a 1'])
    leaving.abort()
    await done
    const waiting = hub.entries('a', { from: 'now' })
    const next = waiting.next()
    await sleep(1)
    await waiting.return!()
    expect(await next).toEqual({ done: true, value: undefined })
    expect(await all('a', { signal: AbortSignal.abort() })).toEqual([])
  })

  test('end with the error `draining` when the hub closes: what they have got may not be all', async () => {
    const { done } = collect('a', { until: 'closed' })
    await say('a', '1')
    await hub.close()
    await expect(done).rejects.toMatchObject({ code: 'draining' })
    await expect(hub.entries('a').next()).rejects.toMatchObject({ code: 'draining' })
  })

  test('do not count as readers', async () => {
    const { items, done } = collect('a')
    await say('a', '1')
    await expect.poll(() => items).toEqual(['a 1'])
    expect([hub.readers, (await hub.directory.get('a')).readers]).toEqual([0, 0])
    await hub.close()
    await done.catch(() => {})
  })
})

test('a hub shows nothing of what auth and the routes need of it', () => {
  const names = [...Object.getOwnPropertyNames(Hub.prototype), ...Object.keys(hub)]
  for (const name of ['internal', 'take', 'restarts', 'isId', 'change', 'admitBody']) expect(names).not.toContain(name)
})

/** A log, and a function that puts another log with these messages in its place, as on a server that was emptied. */
function replaceable() {
  let current = memoryLog()
  let followed: Parameters<Log['follow']>
  const follow: Log['follow'] = (...given) => {
    followed = given
    return current.follow(...given)
  }
  const log = new Proxy(current, { get: (_, name) => (name === 'follow' ? follow : Reflect.get(current, name)) })
  const replace = async (messages: readonly Message[]) => {
    current = memoryLog()
    await current.append(messages)
    const [deliver, erased, restarted] = followed
    restarted!(await current.follow(deliver, erased))
  }
  return { log, replace }
}
