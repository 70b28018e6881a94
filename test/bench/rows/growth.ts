import { Hub } from '../../../src/hub/hub.ts'
import type { Subscription } from '../../../src/hub/subscription.ts'
import { memoryLog } from '../../../src/log/memory.ts'
import { Filter } from '../../../src/topic.ts'
import { median } from '../quantile.ts'
import type { Measurements, Row } from '../row.ts'

const BATCHES = 400
const BATCH = 50
const BUSY_READERS = 5

/** The crowds beside the busy topic: readers, and the topics and patterns that they are spread over. The busy topic has five readers. */
const crowds = [
  { readers: 0, topics: 1, patterns: false },
  { readers: 1000, topics: 1000, patterns: false },
  { readers: 100_000, topics: 20_000, patterns: false },
  { readers: 100_000, topics: 100_000, patterns: false },
  { readers: 20_000, topics: 20_000, patterns: true },
]

export const growth: Row = {
  name: 'growth',
  says: `Measures the cost of a message to a topic with ${BUSY_READERS} readers, in process, beside many readers of other topics.`,
  async run(progress): Promise<Measurements> {
    await crowded(crowds[1]!) // so that the code is compiled before anything is measured
    const lines: { readonly [column: string]: string | number }[] = []
    for (const crowd of crowds) {
      const kind = crowd.patterns ? 'patterns' : 'topics'
      progress(`${crowd.readers} readers of ${crowd.topics} other ${kind}`)
      const { busy, others } = await crowded(crowd)
      lines.push({
        'other readers': crowd.readers,
        of: `${crowd.topics.toLocaleString('en')} ${kind}`,
        'µs a message': busy,
        'µs a message to all other topics in turn': others ?? '–',
      })
    }
    const of = (i: number) => lines[i]!['µs a message'] as number
    return {
      lines,
      ratios: [
        {
          of: 'a message beside 100,000 readers of 20,000 topics / beside none',
          value: of(2) / of(0),
          goal: 'about 1',
        },
        { of: 'a message beside 20,000 patterns / beside none', value: of(4) / of(0), goal: 'about 1' },
      ],
      notes: [
        `medians of ${BATCHES} commits of ${BATCH} messages, including their deliveries; every reader reads at once`,
      ],
    }
  },
}

/** The cost of messages to the busy topic beside a crowd, and of messages to the crowd. */
async function crowded({ readers, topics, patterns }: (typeof crowds)[number]) {
  const hub = new Hub(memoryLog, { maxReaders: 1_000_000 })
  for (let i = 0; i < readers; i++) await reading(hub, `quiet/${i % topics}${patterns ? '/*' : ''}`)
  for (let i = 0; i < BUSY_READERS; i++) await reading(hub, 'busy')
  const busy = await usOf(hub, 'busy')
  const others = readers === 0 ? undefined : await usOf(hub, `quiet/#${patterns ? '/x' : ''}`, topics)
  await hub.close()
  return { busy, others }
}

async function reading(hub: Hub, name: string): Promise<Subscription> {
  const subscription = (await hub.subscribe(Filter.parse([name])))!
  const read = () => {
    while (subscription.read());
  }
  subscription.onReady = read
  read()
  return subscription
}

async function usOf(hub: Hub, topic: string, topics = 1): Promise<number> {
  let number = 0
  const times: number[] = []
  for (let i = 0; i < BATCHES; i++) {
    const batch = Array.from({ length: BATCH }, () => ({
      topic: topic.replace('#', `${number++ % topics}`),
      data: 'x',
    }))
    const began = performance.now()
    await hub.publish(batch)
    times.push(((performance.now() - began) * 1000) / BATCH)
  }
  return median(times)
}
