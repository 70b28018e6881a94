import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { EndReason } from '../../src/hub/events.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { HubOptions, SubscribeOptions } from '../../src/hub/options.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { Filter } from '../../src/topic.ts'
import { nextTurn } from '../../src/turn.ts'
import { Reader } from '../reader.ts'

// Streams without control events: each ends cleanly as a whole, or is broken off.

let log: Log
let hub: Hub
let ended: EndReason[]
let gaps: string[]

async function start(options: Partial<HubOptions> = {}, logOptions: Partial<LogOptions> = {}): Promise<void> {
  log = memoryLog(logOptions)
  const events = {
    ended: (_: Subscription, why: EndReason) => void ended.push(why),
    gap: (why: string) => void gaps.push(why),
  }
  hub = new Hub(() => log, { events, ...options })
  await hub.check()
}

const id = (seq: number) => `${log.epoch}-${seq}`
const say = (topic: string, ...data: string[]) => hub.publish(data.map((d) => ({ topic, data: d })))
const close = (topic: string) => hub.publish([{ topic, close: true }])

async function subscribe(names: string[], options: SubscribeOptions = {}): Promise<Subscription> {
  return (await hub.subscribe(Filter.parse(names), { control: false, ...options }))!
}

/** Reads a stream to its end, and says how it ended. */
async function read(subscription: Subscription) {
  const reader = new Reader()
  for await (const bytes of subscription) reader.feed(bytes)
  return { data: reader.data, events: reader.events.length, text: reader.text, mustBreakOff: subscription.mustBreakOff }
}

beforeEach(async () => {
  ended = []
  gaps = []
  await start()
})
afterEach(async () => {
  vi.useRealTimers()
  await hub.close()
})

describe('a stream without control events', () => {
  test('ends cleanly when all its topics are closed, and holds nothing but events and fields', async () => {
    const reading = read(await subscribe(['a', 'b']))
    await say('a', '1')
    await hub.publish([{ topic: 'a', data: '2', close: true }])
    await say('b', '3')
    await close('b')
    expect(await reading).toMatchObject({ data: ['1', '2', '3'], events: 3, mustBreakOff: false })
    expect((await reading).text.replace(/\d{5}\n$/, '…\n')).toBe(
      `:\nretry: 3000\ndata: 1\nid: ${id(1)}\n\ndata: 2\nid: ${id(2)}\n\ndata: 3\nid: ${id(3)}\n\nretry: …\n`,
    )
    expect(ended).toEqual(['complete'])
  })

  test.each([
    ['the window', {}],
    ['the log', { windowCount: 1 }],
  ])('from %s ends the same way, in envelopes too', async (_, options) => {
    await start(options)
    await say('a', '1', '2')
    await hub.publish([{ topic: 'a', data: '3', close: true }])
    await close('b')
    expect(await read(await subscribe(['a', 'b'], { from: 'earliest' }))).toMatchObject({
      data: ['1', '2', '3'],
      mustBreakOff: false,
    })
    const enveloped = await read(await subscribe(['a', 'b'], { lastEventId: id(1), envelope: true }))
    expect(enveloped.data.map((data) => JSON.parse(data).data)).toEqual(['2', '3'])
    expect([enveloped.events, enveloped.mustBreakOff]).toEqual([2, false])
  })

  test('of closed topics is empty and whole; one that resumes at the close does not open', async () => {
    await say('a', '1')
    await close('a')
    expect(await read(await subscribe(['a']))).toMatchObject({ events: 0, mustBreakOff: false })
    expect(await subscribe(['a'], { lastEventId: id(2) })).toBeUndefined()
  })

  test('is whole if all its topics close while the hub shuts down', async () => {
    const subscription = await subscribe(['a'])
    await hub.publish([{ topic: 'a', data: 'all', close: true }])
    hub.drain()
    expect(await read(subscription)).toMatchObject({ data: ['all'], mustBreakOff: false })
  })

  test('of a pattern never ends cleanly', async () => {
    const reading = read(await subscribe(['a', 'a/*']))
    await close('a')
    await close('a/b')
    await say('a/c', 'x')
    hub.drain()
    expect(await reading).toMatchObject({ data: ['x'], mustBreakOff: true })
  })

  test.each<[EndReason, (subscription: Subscription) => unknown]>([
    ['shutdown', () => hub.drain()],
    ['shutdown', () => hub.close()],
    ['replaced', (subscription) => subscription.finish('replaced', 1000, true)],
    ['revoked', (subscription) => subscription.finish('revoked', 1000, true)],
    ['expired', (subscription) => subscription.renew(Date.now() - 1)],
    ['failed', (subscription) => subscription.close('failed')],
    ['stalled', (subscription) => subscription.close('stalled')],
  ])('is broken off when it ends as %s', async (why, end) => {
    const subscription = await subscribe(['a'])
    const reading = read(subscription)
    await say('a', 'part')
    await nextTurn()
    await end(subscription)
    expect(await reading).toMatchObject({ data: ['part'], events: 1, mustBreakOff: true })
    expect(ended).toEqual([why])
  })

  test('is broken off at the end of its lifetime, and is not warned before its token expires', async () => {
    await start({ lifetimeMs: 20 })
    const reading = read(await subscribe(['a'], { expiresAt: Date.now() + 25_000 }))
    await say('a', 'part')
    expect(await reading).toMatchObject({ data: ['part'], events: 1, mustBreakOff: true })
    expect(ended).toEqual(['lifetime'])
  })

  test('is broken off when the log has trimmed what it has not read, even if nothing else would follow', async () => {
    await start({ windowCount: 1 }, { retention: { count: 2 } })
    for (const isClosed of [false, true]) {
      const topic = isClosed ? 'closed' : 'open'
      const subscription = await subscribe([topic])
      const reader = new Reader()
      reader.feed(subscription.read()!)
      await say(topic, '1', '2')
      if (isClosed) await close(topic)
      await say('other', 'x', 'y', 'z')
      const { events, mustBreakOff } = await read(subscription)
      expect([events, mustBreakOff]).toEqual([0, true])
    }
    expect(ended).toEqual(['gap', 'gap'])
    expect(gaps).toEqual(['trimmed', 'trimmed'])
  })

  test('is broken off when the log cannot be read', async () => {
    await start({ windowCount: 1 })
    await say('a', '1', '2', '3')
    const subscription = await subscribe(['a'], { lastEventId: id(1) })
    const { read: readLog } = log
    await say('a', '4', '5', '6')
    log.read = async () => {
      throw new Error('disk on fire')
    }
    const { data, mustBreakOff } = await read(subscription)
    expect([data.slice(0, 2), data.includes('6'), mustBreakOff]).toEqual([['2', '3'], false, true])
    expect(ended).toEqual(['failed'])
    log.read = readLog
  })

  test('sends comments as heartbeats, and no checkpoints', async () => {
    await start({ heartbeatMs: 1000 })
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'Date', 'performance'] })
    const subscription = await subscribe(['a'])
    const reader = new Reader()
    const take = () => {
      for (let bytes = subscription.read(); bytes; bytes = subscription.read()) reader.feed(bytes)
    }
    take()
    subscription.onReady = take
    await say('other', 'x')
    await vi.advanceTimersByTimeAsync(3500)
    expect([reader.comments, reader.events]).toEqual([4, []])
  })

  test('an ordinary stream that ends is not broken off, unless its reader does not read', async () => {
    const reading = read(await subscribe(['a'], { control: true }))
    await nextTurn()
    hub.drain()
    expect((await reading).mustBreakOff).toBe(false)
  })
})

describe('the beginning of a stream without control events', () => {
  test.each([
    ['unknown', 'no position'],
    ['epoch', 'zzzzzzzzzz-1'],
  ])('is refused for a gap (%s), and says what a hub.gap would say', async (reason, lastEventId) => {
    await say('a', '1')
    const gap = (await take(['a'], lastEventId)).control('gap')[0]
    expect(gap).toMatchObject({ reason })
    await expect(subscribe(['a'], { lastEventId })).rejects.toMatchObject({ code: 'gap', status: 410, more: { gap } })
    expect(hub.readers).toBe(0)
  })

  test.each([
    ['position', { lastEventId: () => id(1) }],
    ['time', { from: { since: 0 } }],
  ])('is refused if the log has trimmed what follows its %s', async (_, from) => {
    await start({ windowCount: 1 }, { retention: { count: 2 } })
    await say('a', '1', '2', '3', '4')
    const options = { ...from, ...('lastEventId' in from && { lastEventId: from.lastEventId() }) } as SubscribeOptions
    await expect(subscribe(['a'], options)).rejects.toMatchObject({ code: 'gap', more: { gap: { reason: 'trimmed' } } })
    expect(await subscribe(['a'], { from: 'earliest' })).toBeDefined()
    expect(gaps).toEqual(['trimmed'])
  })

  test('is refused for a position that the log has not reached', async () => {
    await say('a', '1')
    await expect(subscribe(['a'], { lastEventId: id(9) })).rejects.toMatchObject({ more: { gap: { reason: 'ahead' } } })
  })

  test('waits for the read of the log, and is refused if that fails or the hub shuts down meanwhile', async () => {
    await start({ windowCount: 1 })
    await say('a', '1', '2', '3')
    const { read: readLog } = log
    log.read = async () => {
      throw new Error('disk on fire')
    }
    await expect(subscribe(['a'], { lastEventId: id(1) })).rejects.toMatchObject({ code: 'log_unusable', status: 503 })
    log.read = async (...asked) => {
      hub.drain()
      return readLog(...asked)
    }
    await expect(subscribe(['a'], { lastEventId: id(1) })).rejects.toMatchObject({ code: 'draining', status: 503 })
    expect(hub.readers).toBe(0)
    log.read = readLog
  })
})

async function take(names: string[], lastEventId: string): Promise<Reader> {
  const subscription = await subscribe(names, { lastEventId, control: true })
  const reader = new Reader()
  while (reader.control('gap').length === 0) {
    const bytes = subscription.read()
    if (bytes) reader.feed(bytes)
    else await nextTurn()
  }
  subscription.close()
  gaps = []
  return reader
}
