import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { INSIDE } from '../../src/hub/inside.ts'
import type { HubOptions, SubscribeOptions } from '../../src/hub/options.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { Reader } from '../reader.ts'

let log: Log
let hub: Hub

async function start(options: Partial<HubOptions> = {}, logOptions: Partial<LogOptions> = {}): Promise<void> {
  log = memoryLog(logOptions)
  hub = new Hub(() => log, options)
  await hub.check()
}

const id = (seq: number) => `${log.epoch}-${seq}`
const say = (topic: string, ...data: string[]) => hub.publish(data.map((d) => ({ topic, data: d })))

async function subscribe(names: string[], options: SubscribeOptions = {}): Promise<Subscription> {
  return (await hub.subscribe(Filter.parse(names), options))!
}

async function read(names: string[], options: SubscribeOptions = {}): Promise<Reader> {
  return new Reader().follow(await subscribe(names, options))
}

/** Reads what is due now, without waiting for more. */
function take(subscription: Subscription): Reader {
  const reader = new Reader()
  for (let bytes = subscription.read(); bytes; bytes = subscription.read()) reader.feed(bytes)
  return reader
}

beforeEach(() => start())
afterEach(async () => {
  vi.useRealTimers()
  await hub.close()
})

describe('a new stream', () => {
  test('begins with a retry and a live hub.open at the head, and delivers what is published then', async () => {
    await say('a', 'before')
    const reader = await read(['a'])
    await say('b', 'not for us')
    await say('a', 'after')
    await reader.gets('after')
    expect(reader.text).toBe(
      `:\nretry: 3000\nevent: hub.open\ndata: {"state":"live","stream":"${reader.control('open')[0]!.stream}"}\nid: ${id(1)}\n\ndata: after\nid: ${id(3)}\n\n`,
    )
    expect(reader.control('open')[0]!.stream).toMatch(/^[0-9a-f]{32}$/)
  })

  test.each([
    ['the window', {}],
    ['the log', { windowCount: 1 }],
  ])('resumes after its Last-Event-ID, read from %s; the id of hub.open is that position', async (_, options) => {
    await start(options)
    await say('a', '1', '2', '3')
    await say('b', '4')
    await say('c/d', '5')
    const reader = await read(['a', 'c/*'], { lastEventId: id(1) })
    await say('a', '6')
    await reader.gets('2', '3', '5', '6')
    expect(reader.events[0]).toMatchObject({ event: 'hub.open', id: id(1) })
    expect(reader.control('open')).toMatchObject([{ state: 'resumed' }])
    expect(reader.control('gap')).toEqual([])
  })

  test('searches for a pattern with few matches in several turns, 500 entries in each', async () => {
    await say('a', ...Array.from({ length: 3500 }, (_, i) => `${i}`))
    await say('c/d', 'for us')
    const subscription = await subscribe(['c/*'], { lastEventId: id(0) })
    const places = [subscription.position]
    const events: string[] = []
    await new Promise<void>((done) => {
      const look = () => {
        events.push(...take(subscription).events.map(({ event, data }) => event ?? data))
        places.push(subscription.position)
        if (subscription.idle) done()
      }
      subscription.onReady = look
      look()
    })
    expect(places).toEqual([0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 3501])
    expect(events).toEqual(['hub.open', 'for us'])
  })

  test('begins after a trimmed gap at the oldest kept entry of its topics', async () => {
    await start({ windowCount: 1 }, { retention: { topicCount: 2 } })
    await say('a', '1', '2', '3', '4', '5') // 1 2 3 are trimmed
    await say('b', '6')
    const reader = await read(['a', 'b'], { lastEventId: id(1) })
    await reader.gets('4', '5', '6')
    expect(reader.lines.slice(0, 2)).toEqual([
      expect.stringMatching(/^hub.open {"state":"gap",.*/),
      `hub.gap {"reason":"trimmed","from":"${id(1)}","to":"${id(3)}","exact":true} ${id(3)}`,
    ])
    expect(reader.events[0]!.id).toBe(id(3))
  })

  test('with a position of another epoch begins at the oldest kept entry of its topics, after a gap', async () => {
    await say('b', '1')
    await say('a', '2')
    const reader = await read(['a'], { lastEventId: 'elsewhere-7' })
    await reader.gets('2')
    expect(reader.lines[1]).toBe(
      `hub.gap {"reason":"epoch","from":"elsewhere-7","to":"${id(1)}","exact":false} ${id(1)}`,
    )
    expect(reader.control('open')).toMatchObject([{ state: 'gap' }])
  })

  test.each(['garbage', '', 'x'.repeat(10_000), '-1', 'ä-1', 'a-1\u0000'])(
    'with %j as Last-Event-ID begins at the head, after a gap unless the Last-Event-ID is empty',
    async (lastEventId) => {
      await say('a', '1')
      const reader = await read(['a'], { lastEventId })
      await say('a', '2')
      await reader.gets('2')
      const gap = `hub.gap {"reason":"unknown","from":null,"to":"${id(1)}","exact":false} ${id(1)}`
      expect(reader.lines.slice(1, -1)).toEqual(lastEventId === '' ? [] : [gap])
    },
  )

  test('with a position ahead of the log begins at the head, after a gap', async () => {
    await say('a', '1')
    const reader = await read(['a'], { lastEventId: id(99) })
    await say('a', '2')
    await reader.gets('2')
    expect(reader.lines[1]).toBe(`hub.gap {"reason":"ahead","from":"${id(99)}","to":"${id(1)}","exact":false} ${id(1)}`)
  })

  test('reports no gap when only other topics were trimmed', async () => {
    await start({ windowCount: 1 }, { retention: { count: 2 } })
    await say('quiet', '1')
    const position = id(1)
    await say('busy', '2', '3', '4', '5')
    const reader = await read(['quiet'], { lastEventId: position })
    await say('quiet', '6')
    await reader.gets('6')
    expect(reader.control('gap')).toEqual([])
  })
})

describe('an open stream', () => {
  test('moves with the head while it is idle, so that entries of other topics are never a gap', async () => {
    await start({ windowCount: 2 }, { retention: { count: 2 } })
    const subscription = await subscribe(['quiet'])
    take(subscription)
    for (let i = 0; i < 50; i++) await say('busy', `${i}`)
    expect(subscription.position).toBe(50)
    await say('quiet', 'x')
    const reader = take(subscription)
    expect(reader.lines).toEqual([`x ${id(51)}`])
  })

  test('reads from the log for a slow reader that falls out of the window, with nothing missing', async () => {
    await start({ windowCount: 3 })
    const subscription = await subscribe(['a'])
    take(subscription)
    const data = Array.from({ length: 700 }, (_, i) => `${i}`)
    await say('a', ...data.slice(0, 1))
    subscription.read() // the reader now holds a chunk, and does not read on
    for (const d of data.slice(1)) await say('a', d)
    const reader = new Reader().follow(subscription)
    await reader.gets(...data.slice(1))
    expect(reader.control('gap')).toEqual([])
  })

  test('reports one gap to a slow reader when the log has trimmed what it missed', async () => {
    await start({ windowCount: 1 }, { retention: { topicCount: 3 } })
    const subscription = await subscribe(['a', 'b'])
    take(subscription)
    await say('a', '1')
    subscription.read()
    await say('b', '2')
    for (let i = 3; i <= 8; i++) await say('a', `${i}`)
    const reader = new Reader().follow(subscription)
    await reader.gets('2', '6', '7', '8')
    expect(reader.lines[0]).toBe(`hub.gap {"reason":"trimmed","from":"${id(1)}","to":"${id(5)}","exact":true} ${id(1)}`)
    expect(reader.control('gap')).toHaveLength(1)
  })

  test.each([
    ['all in one turn when it is live', true],
    ['over several turns when it catches up', false],
  ])('delivers whole frames in chunks of at most maxChunkBytes, or of one longer frame, %s', async (_, isLive) => {
    await start({ maxChunkBytes: 150 })
    await say('b', 'what it has')
    const subscription = await subscribe(['a'], isLive ? {} : { lastEventId: id(1) })
    if (isLive) take(subscription)
    await say('a', ...Array.from({ length: 9 }, (_, i) => `${i}`.repeat(20)), 'x'.repeat(500))
    const reader = new Reader()
    const sizes: number[][] = []
    await new Promise<void>((done) => {
      const look = () => {
        const together: number[] = []
        for (let bytes = subscription.read(); bytes; bytes = subscription.read()) {
          together.push(bytes.byteLength)
          expect(new TextDecoder().decode(bytes.slice(-1))).toBe('\n')
          reader.feed(bytes)
        }
        sizes.push(together)
        if (subscription.idle) done()
      }
      subscription.onReady = look
      look()
    })
    expect(reader.data).toHaveLength(10)
    const all = sizes.flat()
    expect(all.filter((size) => size > 500)).toHaveLength(1)
    expect(all.filter((size) => size > 150 && size < 500)).toEqual([])
    if (isLive) expect(sizes).toHaveLength(1)
    else expect(sizes.length).toBeGreaterThan(2)
  })

  test('delivers the very same chunk to readers with the same filter at the same position', async () => {
    const readers = [await subscribe(['a', 'b']), await subscribe(['b', 'a'])]
    for (const reader of readers) take(reader)
    await Promise.all([say('a', '1'), say('b', '2')])
    const [one, other] = readers.map((reader) => reader.read())
    expect(one).toBe(other)
    expect(new TextDecoder().decode(one)).toBe(`data: 1\nid: ${id(1)}\n\ndata: 2\nid: ${id(2)}\n\n`)
  })

  test('ends with a retry, and delivers nothing, when the log cannot be read', async () => {
    await start({ windowCount: 1 })
    await say('a', '1', '2', '3')
    const read_ = log.read
    log.read = () => Promise.reject(new Error('disk on fire'))
    const reader = await read(['a'], { lastEventId: id(1) })
    await expect.poll(() => reader.ended).toBe(true)
    expect(reader.data).toEqual([])
    expect(reader.retries).toHaveLength(2)
    log.read = read_
  })
})

describe('the close of a topic', () => {
  test('comes after its last entry; a stream ends with the last of its topics, a pattern goes on', async () => {
    const both = await read(['a', 'b'])
    const pattern = await read(['*'])
    await hub.publish([{ topic: 'a', data: 'last', close: true }])
    await say('b', 'more')
    await hub.publish([{ topic: 'b', close: true }])
    await expect.poll(() => both.ended).toBe(true)
    expect(both.lines.slice(1)).toEqual([
      `last ${id(1)}`,
      `hub.closed {"topic":"a","outcome":"done"} ${id(1)}`,
      `more ${id(2)}`,
      `hub.closed {"topic":"b","outcome":"done"} ${id(3)}`,
      'hub.ending {}',
    ])
    await expect.poll(() => pattern.lines).toEqual([pattern.lines[0], ...both.lines.slice(1, -1)])
    expect(pattern.ended).toBe(false)
  })

  test('gives a new reader hub.open, hub.closed, and hub.ending with a long retry', async () => {
    await hub.publish([{ topic: 'a', close: true }])
    const reader = await read(['a'])
    await expect.poll(() => reader.ended).toBe(true)
    expect(reader.lines.map((line) => line.split(' ')[0])).toEqual(['hub.open', 'hub.closed', 'hub.ending'])
    expect(reader.retries).toEqual([3000, expect.toSatisfy((ms: number) => ms >= 30_000 && ms <= 60_000)])
    expect(hub.readers).toBe(0)
  })

  test('gives no stream to a reader that resumes at or after the close of each of its topics', async () => {
    await hub.publish([{ topic: 'a', close: true }])
    expect(await hub.subscribe(Filter.parse(['a']), { lastEventId: id(1) })).toBeUndefined()
    expect(await hub.subscribe(Filter.parse(['a', 'b']), { lastEventId: id(1) })).toBeDefined()
    expect(await hub.subscribe(Filter.parse(['a', 'c/*']), { lastEventId: id(1) })).toBeDefined()
    const behind = await read(['a'], { lastEventId: id(0) })
    await expect.poll(() => behind.ended).toBe(true)
    expect(behind.control('closed')).toEqual([{ topic: 'a', outcome: 'done' }])
  })

  test('reaches a reader even when retention has trimmed it', async () => {
    await start({ windowCount: 1 }, { retention: { count: 2 } })
    await hub.publish([{ topic: 'a', data: 'last', close: true }])
    await say('b', '2', '3', '4')
    const reader = await read(['a'], { lastEventId: id(0) })
    await expect.poll(() => reader.ended).toBe(true)
    expect(reader.lines.map((line) => line.split(' ')[0])).toEqual(['hub.open', 'hub.gap', 'hub.closed', 'hub.ending'])
  })
})

describe('as time passes', () => {
  beforeEach(() =>
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'Date', 'performance'] }),
  )

  test('a silent stream sends a comment every heartbeat, a busy one does not', async () => {
    const reader = await read(['a'])
    await vi.advanceTimersByTimeAsync(14_800)
    expect(reader.comments).toBe(1)
    await vi.advanceTimersByTimeAsync(400)
    expect(reader.comments).toBe(2)
    await vi.advanceTimersByTimeAsync(10_000)
    await say('a', 'x')
    await vi.advanceTimersByTimeAsync(14_800)
    expect(reader.comments).toBe(2)
    await vi.advanceTimersByTimeAsync(400)
    expect(reader.comments).toBe(3)
    expect(reader.text.endsWith('\n\n:\n')).toBe(true)
  })

  test('a position that moved without an event is sent once, as a checkpoint', async () => {
    const reader = await read(['quiet'])
    await say('busy', '1', '2')
    await vi.advanceTimersByTimeAsync(45_400)
    expect(reader.lines.slice(1)).toEqual([`hub.checkpoint {} ${id(2)}`])
    expect(reader.comments).toBe(3)
  })

  test('a position that moved past the last event of a chunk is sent as a checkpoint too', async () => {
    const reader = await read(['a'])
    await hub.publish(['a', 'b'].map((topic) => ({ topic, data: topic })))
    await vi.advanceTimersByTimeAsync(15_400)
    expect(reader.lines.slice(1)).toEqual([`a ${id(1)}`, `hub.checkpoint {} ${id(2)}`])
  })

  test('a stream ends at its lifetime, ± 20 %, with a retry', async () => {
    await start({ lifetimeMs: 100_000, heartbeatMs: 1e6 })
    const readers = await Promise.all(Array.from({ length: 40 }, () => read(['a'])))
    await vi.advanceTimersByTimeAsync(79_000)
    expect(readers.filter(({ ended }) => ended)).toHaveLength(0)
    await vi.advanceTimersByTimeAsync(21_000)
    expect(readers.some(({ ended }) => ended) && readers.some(({ ended }) => !ended)).toBe(true)
    await vi.advanceTimersByTimeAsync(21_000)
    expect(readers.every(({ ended, retries }) => ended && retries.length === 2 && retries[1]! >= 1500)).toBe(true)
    expect(hub.readers).toBe(0)
  })

  test('a reader that does not drain its chunk for 30 s is dropped, others stay', async () => {
    let dropped = 0
    const subscription = await subscribe(['a'], { drop: () => dropped++ })
    const patient = await read(['a'])
    take(subscription)
    await say('a', 'x')
    subscription.read()
    await vi.advanceTimersByTimeAsync(29_800)
    expect(dropped).toBe(0)
    await vi.advanceTimersByTimeAsync(400)
    expect([dropped, subscription.ended, hub.readers]).toEqual([1, true, 1])
    expect(patient.ended).toBe(false)
  })

  test('a reader that does not drain is dropped in time, also while no heartbeat is due', async () => {
    await start({ heartbeatMs: 1e6, stallMs: 1000 })
    const subscription = await subscribe(['a'])
    take(subscription)
    await vi.advanceTimersByTimeAsync(300)
    await say('a', 'x')
    subscription.read()
    await vi.advanceTimersByTimeAsync(800)
    expect(subscription.ended).toBe(false)
    await vi.advanceTimersByTimeAsync(500)
    expect(subscription.ended).toBe(true)
  })

  test('an error in the tick of one stream ends that stream, is reported once, and does not stop the clock', async () => {
    const failures: string[] = []
    await start({ events: { failed: (what, cause) => failures.push(`${what}: ${(cause as Error).message}`) } })
    const drop = () => {
      throw new Error('the carrier is broken')
    }
    const broken = await subscribe(['a'], { drop })
    const others = [await read(['a']), await read(['b'])]
    take(broken)
    await say('a', 'x')
    broken.read()
    await vi.advanceTimersByTimeAsync(30_400)
    expect(failures).toEqual(['Cannot serve a stream: the carrier is broken'])
    expect([broken.ended, hub.readers]).toEqual([true, 2])
    const before = others.map(({ comments }) => comments)
    await vi.advanceTimersByTimeAsync(15_000)
    expect(others.map(({ comments }, i) => comments - before[i]!)).toEqual([1, 1])
  })

  test('repeat sends the newest entry again without an id, but not to a reader that has not drained', async () => {
    await say('a', '1')
    const reader = await read(['a'], { repeatMs: 1000 })
    const slow = await subscribe(['a'], { repeatMs: 1000 })
    slow.read()
    await vi.advanceTimersByTimeAsync(2150)
    await say('a', '2')
    await vi.advanceTimersByTimeAsync(1000)
    expect(reader.lines.slice(1)).toEqual(['1', '1', `2 ${id(2)}`, '2'])
    expect(take(slow).data).toEqual(['2'])
  })

  test('no timer runs without readers', async () => {
    const subscription = await subscribe(['a'])
    expect(vi.getTimerCount()).toBe(1)
    subscription.close()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a wall clock that jumps ahead by an hour causes no extra heartbeat and ends no stream', async () => {
    const reader = await read(['a'])
    vi.setSystemTime(Date.now() + 3_600_000)
    await vi.advanceTimersByTimeAsync(16_000)
    expect([reader.comments, reader.ended]).toEqual([2, false])
  })
})

describe('the demo stream', () => {
  beforeEach(() =>
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'Date', 'performance'] }),
  )
  const watch = async (lastEventId?: string) =>
    new Reader().follow(await hub.watch({ ...(lastEventId && { lastEventId }) }))
  const messages = (reader: Reader) => reader.events.map(({ event, data, id }) => [event, JSON.parse(data).message, id])

  test('starts with the default message at <epoch>-0, then repeats it every second', async () => {
    const reader = await watch()
    await vi.advanceTimersByTimeAsync(2150)
    const text = 'This is a server-sent event'
    expect(messages(reader)).toEqual([
      ['message', text, id(0)],
      ['message', text, undefined],
      ['message', text, undefined],
    ])
    expect(reader.text.startsWith(':\nretry: 3000\nevent: message\ndata: {"message":"This is')).toBe(true)
  })

  test('starts with the current value, and sends a change at once', async () => {
    await hub.set('one')
    const reader = await watch()
    await hub.set('two')
    await expect
      .poll(() => messages(reader))
      .toEqual([
        ['message', 'one', id(1)],
        ['message', 'two', id(2)],
      ])
    expect(JSON.parse(reader.data[1]!).timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  test('sends what was missed, in order, then repeats the newest value', async () => {
    for (const message of ['1', '2', '3']) await hub.set(message)
    const reader = await watch(id(1))
    await expect
      .poll(() => messages(reader))
      .toEqual([
        ['message', '2', id(2)],
        ['message', '3', id(3)],
        ['message', '3', undefined],
      ])
  })

  test('sends the current value at once when nothing was missed', async () => {
    await hub.set('1')
    const reader = await watch(id(1))
    await expect.poll(() => messages(reader)).toEqual([['message', '1', undefined]])
  })

  test('sends a gap and then the current value after an unknown position', async () => {
    await hub.set('1')
    await hub.set('2')
    const reader = await watch('garbage')
    await expect.poll(() => reader.events.length).toBe(2)
    expect(reader.control('gap')).toMatchObject([{ reason: 'unknown' }])
    expect(JSON.parse(reader.data[0]!).message).toBe('2')
  })

  test('is the topic $store, which can be subscribed to by name but not published to', async () => {
    const reader = await read(['$store'])
    const all = await read(['**'])
    await hub.set('x')
    await say('a', 'y')
    await expect.poll(() => reader.data.length).toBe(1)
    await all.gets('y')
    await expect(say('$store', 'forged')).rejects.toMatchObject({ code: 'forbidden' })
  })
})

describe('a stream that expires', () => {
  test('delivers nothing after its expiry, even if it was already ending for a slow reader', async () => {
    const subscription = await subscribe(['a'], { expiresAt: Date.now() + 300 })
    await say('a', ...Array.from({ length: 10 }, () => 'x'.repeat(50_000)))
    subscription.finish('shutdown', 1000)
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(take(subscription).data).toEqual([])
    expect(subscription.ended).toBe(true)
  })

  test('sends hub.expiring once it is open, also when opening takes long', async () => {
    await start({ windowCount: 1 })
    await say('a', '1', '2', '3')
    const read = log.read.bind(log)
    log.read = async (...asked) => {
      await new Promise((resolve) => setTimeout(resolve, 300))
      return read(...asked)
    }
    const options = { lastEventId: id(1), expiresAt: Date.now() + 20_000 }
    const reader = new Reader().follow(await subscribe(['a'], options))
    await expect.poll(() => reader.control('expiring')).toHaveLength(1)
    expect(reader.data).toEqual(['2', '3'])
  })
})

describe('changing the topics of a stream', () => {
  /** Holds back each lookup of topics in the log, until the test lets it answer or fail. */
  const heldLooks = () => {
    const { topics } = log
    const looks: ((error?: Error) => void)[] = []
    log.topics = (query) =>
      new Promise((resolve, reject) => {
        looks.push((error) => (error ? reject(error) : resolve(topics(query))))
      })
    return looks
  }

  test('twice before the first lookup of closes answers: the last topics count, and other readers keep theirs', async () => {
    const other = await read(['x'])
    const subscription = await subscribe(['a'])
    const reader = new Reader().follow(subscription)
    const looks = heldLooks()
    const first = hub[INSIDE].change(subscription, Filter.parse(['x']))
    await nextTurn()
    const second = hub[INSIDE].change(subscription, Filter.parse(['b']))
    await nextTurn()
    looks[1]!()
    await second
    looks[0]!(new Error('disk on fire'))
    await first
    await say('x', 'for the other')
    await say('b', 'for it')
    await other.gets('for the other')
    await reader.gets('for it')
    expect(hub.readers).toBe(2)
    for (const [topic, readers] of [
      ['a', 0],
      ['x', 1],
      ['b', 1],
    ] as const) {
      const asked = hub.directory.get(topic)
      await nextTurn()
      looks.at(-1)!()
      expect(await asked).toMatchObject({ readers })
    }
  })

  test('and ending it before the lookup of closes answers: the retry is the last thing it sends', async () => {
    await say('b', 'last')
    await hub.publish([{ topic: 'b', close: true }])
    const subscription = await subscribe(['a'])
    take(subscription)
    const looks = heldLooks()
    const changing = hub[INSIDE].change(subscription, Filter.parse(['b', 'c']))
    await nextTurn()
    subscription.finish('shutdown', 1000, true)
    looks[0]!()
    await changing
    expect(take(subscription).text).toBe('event: hub.ending\ndata: {}\nretry: 1000\n\n')
  })

  test('to one that was closed and is deleted before the lookup answers with its close: it is open', async () => {
    await hub.publish([{ topic: 'b', close: true }])
    const subscription = await subscribe(['a'])
    const reader = new Reader().follow(subscription)
    const { topics } = log
    const { promise: deleted, resolve } = Promise.withResolvers<void>()
    log.topics = async (query) => {
      const found = await topics(query)
      await deleted
      return found
    }
    const changing = hub[INSIDE].change(subscription, Filter.parse(['b']))
    await nextTurn()
    await log.erase('b')
    resolve()
    await changing
    await say('b', 'again')
    await reader.gets('again')
    expect(reader.control('closed')).toEqual([])
  })

  test('whose lookup of closes fails: the stream ends with a retry and is no longer counted', async () => {
    const subscription = await subscribe(['a'])
    const reader = new Reader().follow(subscription)
    const looks = heldLooks()
    const changing = hub[INSIDE].change(subscription, Filter.parse(['b']))
    await nextTurn()
    looks[0]!(new Error('disk on fire'))
    await expect(changing).rejects.toMatchObject({ code: 'log_unusable' })
    await expect.poll(() => reader.ended).toBe(true)
    expect([reader.retries.length, hub.readers]).toEqual([2, 0])
    await expect(hub[INSIDE].change(subscription, Filter.parse(['c']))).rejects.toMatchObject({
      code: 'stream_unknown',
    })
  })

  test('is refused once the stream has given its last bytes', async () => {
    const subscription = await subscribe(['a'])
    await hub.publish([{ topic: 'a', close: true }])
    for (let text = ''; !text.includes('hub.ending'); ) text = new TextDecoder().decode(subscription.read())
    await expect(hub[INSIDE].change(subscription, Filter.parse(['b']))).rejects.toMatchObject({
      code: 'stream_unknown',
    })
    expect([subscription.read(), subscription.ended]).toEqual([undefined, true])
  })
})

describe('a hub', () => {
  test('reports appends, gaps, and each stream as it opens and as it ends, with the reason', async () => {
    await hub.close()
    const reports: unknown[] = []
    await start({
      events: {
        appended: (entries) => reports.push(['appended', entries]),
        opened: ({ who }) => reports.push(['opened', who]),
        ended: (subscription, why) => reports.push(['ended', subscription.who, why, subscription.handed.events]),
        gap: (reason) => reports.push(['gap', reason]),
      },
    })
    await hub.publish([
      { topic: 'a', data: '1', key: 'k' },
      { topic: 'a', data: '1', key: 'k' },
    ])
    take(await subscribe(['a'], { who: 'ann', lastEventId: id(0) })).events.at(-1)
    const ben = await subscribe(['a'], { who: 'ben', lastEventId: 'what?' })
    take(ben)
    ben.close()
    const complete = await read(['a'], { who: 'cleo' })
    await hub.publish([{ topic: 'a', data: '2', close: true }])
    await expect.poll(() => complete.ended).toBe(true)
    await hub.close()
    expect(reports).toEqual([
      ['appended', 1],
      ['opened', 'ann'],
      ['opened', 'ben'],
      ['gap', 'unknown'],
      ['ended', 'ben', 'gone', 0],
      ['opened', 'cleo'],
      ['appended', 1],
      ['ended', 'cleo', 'complete', 1],
      ['ended', 'ann', 'shutdown', 1],
    ])
  })

  test('reads its log once for any number of checks in a short time', async () => {
    await hub.close()
    log = memoryLog()
    hub = new Hub(() => log)
    const { read } = log
    let reads = 0
    log.read = (...asked) => {
      reads++
      return read(...asked)
    }
    await Promise.all(Array.from({ length: 100 }, () => hub.check()))
    for (let i = 0; i < 100; i++) await hub.check()
    expect(reads).toBe(1)
  })

  test('drains: it refuses new streams, sends what is due, and ends each stream with a retry, all spread', async () => {
    const readers = await Promise.all(Array.from({ length: 100 }, () => read(['a'])))
    const last = say('a', 'last')
    await last
    hub.drain()
    await expect.poll(() => readers.every(({ ended }) => ended)).toBe(true)
    expect(readers.every(({ data }) => data.join() === 'last')).toBe(true)
    const retries = readers.map(({ retries }) => retries[1]!)
    expect(Math.min(...retries)).toBeGreaterThanOrEqual(500)
    expect(Math.max(...retries)).toBeLessThanOrEqual(700) // 100 readers ÷ 500 a second
    expect(new Set(retries).size).toBeGreaterThan(20)
    await expect(subscribe(['a'])).rejects.toMatchObject({ code: 'draining' })
    await expect(hub.check()).rejects.toMatchObject({ code: 'draining' })
  })

  test('no longer counts a stream that was closed, even if it was closed twice', async () => {
    for (let i = 0; i < 1000; i++) {
      const subscription = await subscribe([`t/${i}`, 'p/*'])
      if (i % 2) take(subscription)
      subscription.close()
      subscription.close()
    }
    expect(hub.readers).toBe(0)
    await say('t/1', 'x')
  })

  test('notifies an observer once, even after failed attempts to observe', async () => {
    const topics = log.topics.bind(log)
    log.topics = async () => {
      throw new Error('away')
    }
    const told: string[] = []
    const observe = () => hub[INSIDE].topics.observe('$of-tests', ({ data }) => void told.push(data!))
    for (let i = 0; i < 3; i++) await expect(observe()).rejects.toMatchObject({ code: 'log_unusable' })
    log.topics = topics
    await observe()
    await hub[INSIDE].topics.publish('$of-tests', 'news')
    expect(told).toEqual(['news'])
  })

  test.each([
    ['at once', undefined],
    ['later', nextTurn],
  ])('opens its log at the first use, once for all callers, and again if that failed %s', async (_, wait) => {
    let opened = 0
    const open = () => {
      if (++opened === 1) throw new Error('away')
      return memoryLog()
    }
    const lazy = new Hub(wait ? () => wait().then(open) : open)
    expect(opened).toBe(0)
    await expect(lazy.publish([{ topic: 'a', data: 'x' }])).rejects.toThrow('away')
    const results = await Promise.all([lazy.publish([{ topic: 'a', data: 'x' }]), lazy.durability(), lazy.check()])
    expect([results[0][0]!.id.slice(-2), results[1], opened]).toEqual(['-1', 'memory', 2])
    await lazy.close()
  })

  test('refuses a second log', async () => {
    await expect(hub.use(memoryLog())).rejects.toThrow(/has one already/)
  })

  test('publishes all messages of a batch or none', async () => {
    const bad = [
      { topic: 'a', data: 'x' },
      { topic: 'a b', data: 'x' },
    ]
    await expect(hub.publish(bad)).rejects.toMatchObject({ code: 'topic_invalid' })
    expect(await hub.publish([{ topic: 'a', data: 'x' }])).toEqual([{ id: id(1), duplicate: false }])
  })
})
