import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import { Hub } from '../../../src/hub/hub.ts'
import { memoryLog } from '../../../src/log/memory.ts'
import { nearRuns as runsOf } from '../../../src/runs/near.ts'
import { folderInMemory } from '../../server/server.ts'
import { postFor } from '../post.ts'
import { median } from '../quantile.ts'
import type { Measurements, Row } from '../row.ts'
import { hub, hubOnDisk, type Served } from '../served.ts'
import { watchUsage } from '../usage.ts'

const ROUNDS = 21
const PUBLISHES = 3000
const LANES = 16
/** Rounds over HTTP, and how long each way publishes in one of them. */
const POSTED_ROUNDS = 9
const POSTED_MS = 700
const IDLE = 10_000
const LEASE_MS = 3_600_000

const data = 'x'.repeat(128)

const logs = {
  'LOG=memory:': () => memoryLog(),
  'LOG=sqlite:': () => openSqlite(join(folderInMemory(), 'hub.db')),
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

export const runs: Row = {
  name: 'runs',
  says: `Publishes 128 bytes under a run and without one, in turns, ${LANES} at once in the process of the hub and over HTTP; and keeps ${IDLE.toLocaleString('en')} idle runs.`,
  async run(progress): Promise<Measurements> {
    const lines: Measurements['lines'][number][] = []
    const ratios: Measurements['ratios'][number][] = []
    for (const [log, open] of Object.entries(logs)) {
      const { plain, under } = await publishes(open, (round) => progress(`${log}, round ${round} of ${ROUNDS}`))
      lines.push({ what: `a publish, ${log}`, 'CPU, µs': median(plain), bytes: undefined })
      lines.push({ what: `a publish under a run, ${log}`, 'CPU, µs': median(under), bytes: undefined })
      const value = median(under.map((us, i) => us / plain[i]!))
      ratios.push({ of: `CPU a publish, under a run / without, ${log}`, value, goal: '≤ 1.1' })
    }
    for (const [log, open] of Object.entries({ 'LOG=memory:': hub, 'LOG=sqlite:': hubOnDisk })) {
      const { plain, under } = await posts(open, (round) =>
        progress(`POST, ${log}, round ${round} of ${POSTED_ROUNDS}`),
      )
      lines.push({ what: `POST /send, ${log}`, 'CPU, µs': median(plain), bytes: undefined })
      lines.push({ what: `POST /send with Tidings-Run, ${log}`, 'CPU, µs': median(under), bytes: undefined })
      const value = median(under.map((us, i) => us / plain[i]!))
      ratios.push({ of: `CPU a POST, under a run / without, ${log}`, value, goal: '≤ 1.1' })
    }
    progress('idle runs')
    const elsewhere = await bytesOf((hub, topic) => runsOf(hub).take(topic, { leaseMs: LEASE_MS }))
    lines.push({ what: 'an idle run, its producer elsewhere', 'CPU, µs': undefined, bytes: elsewhere })
    const here = await bytesOf((hub, topic) => runsOf(hub).claim(topic, { leaseMs: LEASE_MS }))
    lines.push({ what: 'an idle run and its producer in this process', 'CPU, µs': undefined, bytes: here })
    return {
      lines,
      ratios,
      notes: [
        `medians of ${ROUNDS} rounds of ${PUBLISHES} publishes each way, one after the other, and of ${POSTED_ROUNDS} rounds over HTTP`,
      ],
    }
  },
}

/** CPU time in µs of a publish without a run and under one, for each round. */
async function publishes(open: () => ReturnType<typeof memoryLog>, progress: (round: number) => void) {
  const own = new Hub(open)
  const run = await runsOf(own).claim('bench/run', { leaseMs: LEASE_MS })
  const ways = {
    plain: () => own.publish({ topic: 'bench/plain', data }),
    under: () => run.publish({ data }),
  }
  const cpu: Record<keyof typeof ways, number[]> = { plain: [], under: [] }
  for (let round = -2; round <= ROUNDS; round++) {
    progress(round)
    const order = round % 2 === 0 ? (['plain', 'under'] as const) : (['under', 'plain'] as const)
    for (const way of order) {
      const us = await cpuOf(ways[way])
      if (round > 0) cpu[way].push(us) // the others warm up
    }
  }
  await run.end()
  await own.close()
  return cpu
}

/** The same over HTTP: CPU time of the process of the hub. */
async function posts(open: () => Promise<Served>, progress: (round: number) => void) {
  const server = await open()
  const claiming = await fetch(`${server.url}/runs/bench/run?lease=1h`, { method: 'POST' })
  const { token } = (await claiming.json()) as { token: string }
  const body = JSON.stringify({ data })
  const ways = {
    plain: () => postFor(`${server.url}/send?topic=bench/plain`, body, LANES, POSTED_MS),
    under: () => postFor(`${server.url}/send?topic=bench/run`, body, LANES, POSTED_MS, { 'tidings-run': token }),
  }
  const cpu: Record<keyof typeof ways, number[]> = { plain: [], under: [] }
  for (let round = 0; round <= POSTED_ROUNDS; round++) {
    progress(round)
    const order = round % 2 === 0 ? (['plain', 'under'] as const) : (['under', 'plain'] as const)
    for (const way of order) {
      const used = watchUsage(server.pid)
      const { posts } = await ways[way]()
      const usage = used()
      if (round > 0 && usage) cpu[way].push(usage.cpuUs / posts)
    }
  }
  await server.stop()
  return cpu
}

async function cpuOf(publish: () => Promise<unknown>): Promise<number> {
  let left = PUBLISHES
  const lane = async () => {
    while (left-- > 0) await publish()
  }
  const before = process.cpuUsage()
  await Promise.all(Array.from({ length: LANES }, lane))
  const { user, system } = process.cpuUsage(before)
  return (user + system) / PUBLISHES
}

/** Bytes of the heap that each of many runs takes. */
async function bytesOf(claim: (hub: Hub, topic: string) => Promise<unknown>): Promise<number> {
  const own = new Hub(() => memoryLog())
  await claim(own, 'first')
  const before = heap()
  const kept: unknown[] = []
  for (let i = 0; i < IDLE; i++) kept.push(await claim(own, `runs/${i}`))
  const bytes = (heap() - before) / kept.length
  await own.close()
  return bytes
}

function heap(): number {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
