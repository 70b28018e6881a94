import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Hub } from '../../../src/hub/hub.ts'
import type { Subscription } from '../../../src/hub/subscription.ts'
import { memoryLog } from '../../../src/log/memory.ts'
import { Filter } from '../../../src/topic.ts'
import type { Measurements, Row } from '../row.ts'

const MANY = 50_000
const PAYLOAD = 100

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Functions that create what is measured, many times in this process. The returned value keeps the created thing alive. */
const things: Readonly<Record<string, (hub: Hub) => Promise<unknown>>> = {
  'a reader of a shared topic': (hub) => subscriptions(hub, () => ['news']),
  'a reader of a topic of its own': (hub) => subscriptions(hub, (i) => [`news/${i}`]),
  'a reader of a pattern of its own': (hub) => subscriptions(hub, (i) => [`news/${i}/*`]),
  'a reader of ten topics of its own': (hub) =>
    subscriptions(hub, (i) => Array.from({ length: 10 }, (_, n) => `news/${i}/${n}`)),
  [`a kept event of ${PAYLOAD} bytes, all in one topic`]: (hub) => events(hub, () => 'news'),
  [`a kept event of ${PAYLOAD} bytes, each in a topic of its own`]: (hub) => events(hub, (i) => `news/${i}`),
}

export const memory: Row = {
  name: 'memory',
  says: `Measures the heap of a hub for each of ${MANY.toLocaleString('en')} readers or events, without sockets and responses.`,
  async run(progress): Promise<Measurements> {
    const lines: Measurements['lines'][number][] = []
    for (const [what, make] of Object.entries(things)) {
      progress(what)
      lines.push({ what, bytes: await bytesOf(make) })
    }
    return {
      lines,
      ratios: [],
      notes: [
        'the row `fanout` has the cost of a reader with its socket and response on Node',
        'the newest 10,000 events are also in the window, ready to be sent',
      ],
    }
  },
}

async function bytesOf(make: (hub: Hub) => Promise<unknown>): Promise<number> {
  const retention = { count: 10 * MANY, bytes: 1024 ** 3 }
  const hub = new Hub(() => memoryLog({ retention }), { maxReaders: 10 * MANY })
  await hub.publish([{ topic: 'first', data: '' }])
  const before = heap()
  const kept = await make(hub)
  const bytes = (heap() - before) / MANY
  await hub.close()
  return kept ? bytes : Number.NaN
}

async function subscriptions(hub: Hub, namesOf: (i: number) => string[]): Promise<readonly Subscription[]> {
  const all: Subscription[] = []
  for (let i = 0; i < MANY; i++) {
    const subscription = (await hub.subscribe(Filter.parse(namesOf(i))))!
    while (subscription.read());
    all.push(subscription)
  }
  return all
}

async function events(hub: Hub, topicOf: (i: number) => string): Promise<true> {
  for (let i = 0; i < MANY; i += 1000) {
    const batch = Array.from({ length: 1000 }, (_, n) => ({ topic: topicOf(i + n), data: `${i + n}`.padEnd(PAYLOAD) }))
    await hub.publish(batch)
  }
  return true
}

/** The bytes of objects and of array buffers, such as frames. */
function heap(): number {
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
