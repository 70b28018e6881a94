import { withoutRedis } from '../../server/redis.ts'
import { type Driven, drive } from '../load/drive.ts'
import { Poster, postFor } from '../post.ts'
import { median } from '../quantile.ts'
import type { Measurements, Row } from '../row.ts'
import { cluster, hubOnDisk, type Served } from '../served.ts'

const ROUNDS = 3
const BYTES = 128
const LANES = 16
const EVENTS = 50_000
const LIST = 200

interface Nodes {
  readonly nodes: readonly Served[]
  stop(): Promise<unknown>
}

const servers: Readonly<Record<string, () => Promise<Nodes>>> = {
  'one process, SQLite': async () => {
    const served = await hubOnDisk()
    return { nodes: [served], stop: served.stop }
  },
  'one node, Redis': () => cluster(1),
  'two nodes, Redis': () => cluster(2),
}

interface Result {
  readonly one: Driven
  readonly many: Driven
  readonly publishes: number
}

export const clusterRow: Row = {
  name: 'cluster',
  says: `Measures the cost of a shared log: messages of ${BYTES} bytes, readers and publishers spread over the nodes, every acknowledgement synced to disk.`,
  async run(progress): Promise<Measurements> {
    if (withoutRedis) return { lines: [], ratios: [], notes: [`nothing was measured: it ${withoutRedis}`] }
    const results = new Map<string, Result[]>(Object.keys(servers).map((name) => [name, []]))
    for (let round = 1; round <= ROUNDS; round++)
      for (const [name, make] of Object.entries(servers)) {
        progress(`round ${round} of ${ROUNDS}: ${name}`)
        const served = await make()
        results.get(name)!.push(await measured(served.nodes))
        await served.stop()
      }
    progress('memory of Redis for an event')
    const bytes = await bytesOfAnEvent()
    const [disk, one, two] = [...results.values()]
    const ratio = (of: string, ours: Result[], figure: (result: Result) => number) => ({
      of,
      value: median(ours.map((result, i) => figure(result) / figure(disk![i]!))),
    })
    return {
      lines: [...results].map(([server, all]) => ({
        server,
        'p50 of one message at a time, ms': median(all.map((result) => result.one.p50)),
        'p99, ms': median(all.map((result) => result.one.p99)),
        [`publishes/s, ${LANES} in flight`]: median(all.map(({ publishes }) => publishes)),
        'deliveries/s, 1,000 readers': median(all.map(({ many }) => rateOf(many))),
        'missing, wrong': all.reduce(
          (sum, { one, many }) => sum + one.missing + one.wrong + many.missing + many.wrong,
          0,
        ),
      })),
      ratios: [
        ratio('p50, one node over Redis / SQLite', one!, (result) => result.one.p50),
        ratio('p50, two nodes / SQLite', two!, (result) => result.one.p50),
        ratio('publishes/s, two nodes / SQLite', two!, ({ publishes }) => publishes),
        ratio('deliveries/s, two nodes / SQLite', two!, ({ many }) => rateOf(many)),
      ],
      notes: [
        `medians of ${ROUNDS} rounds; nodes, Redis and the load share this machine; a cluster would have several`,
        `an event of ${BYTES} bytes takes ${Math.round(bytes)} bytes of the memory of Redis`,
      ],
    }
  },
}

async function measured([first, ...others]: readonly Served[]): Promise<Result> {
  const all = [first!, ...others]
  const load = { topics: 1, bytes: BYTES, warmMs: 700, others: others.map(({ url }) => url) }
  const one = await drive(first!, { ...load, readers: 2, inFlight: 1, forMs: 1500 })
  const many = await drive(first!, { ...load, readers: 1000, inFlight: 10, forMs: 1500 })
  const body = JSON.stringify({ data: 'x'.repeat(BYTES) })
  const sent = await Promise.all(
    all.map(({ url }) => postFor(`${url}/send?topic=posted`, body, LANES / all.length, 2000)),
  )
  return { one, many, publishes: sent.reduce((sum, { posts, ms }) => sum + (1000 * posts) / ms, 0) }
}

async function bytesOfAnEvent(): Promise<number> {
  const { nodes, redis, stop } = await cluster(1)
  const used = async () => Number(/used_memory:(\d+)/.exec(String(await redis.command(['INFO', 'memory'])))![1])
  const before = await used()
  const poster = new Poster(`${nodes[0]!.url}/send?topic=kept`, 2)
  const list = JSON.stringify(Array.from({ length: LIST }, () => ({ data: 'x'.repeat(BYTES) })))
  for (let sent = 0; sent < EVENTS; sent += LIST) await poster.post(list)
  poster.close()
  const bytes = ((await used()) - before) / EVENTS
  await stop()
  return bytes
}

function rateOf({ deliveries, ms }: Driven): number {
  return (1000 * deliveries) / ms
}
