import { type Driven, drive } from '../load/drive.ts'
import type { Load } from '../load/load.ts'
import { median } from '../quantile.ts'
import type { Measurements, Progress, Row } from '../row.ts'
import { hub, yardstick } from '../served.ts'

const ROUNDS = 3
const BYTES = 128

type Point = Pick<Load, 'readers' | 'topics' | 'inFlight' | 'rate'>

const oneAtATime = (readers: number): Point => ({ readers, topics: 1, inFlight: 1 })

/** The loads on a server. */
const points: Readonly<Record<string, Point>> = {
  '1 reader, one message at a time': oneAtATime(1),
  '10 readers, one message at a time': oneAtATime(10),
  '100 readers, one message at a time': oneAtATime(100),
  '1,000 readers, one message at a time': oneAtATime(1000),
  '10,000 readers, one message at a time': oneAtATime(10_000),
  '1,000 readers, ten messages in flight': { readers: 1000, topics: 1, inFlight: 10 },
  '1,000 readers, 20 messages a second': { readers: 1000, topics: 1, inFlight: 0, rate: 20 },
  '1,000 topics of 5 readers, 200 messages in flight': { readers: 5000, topics: 1000, inFlight: 200 },
}

const servers = { hub: () => hub(), 'plain node:http': () => yardstick('plain') }

type Results = Map<string, Driven[]>

export const fanout: Row = {
  name: 'fanout',
  says: `Delivers messages of ${BYTES} bytes to readers of a hub with its log in memory, and of a \`node:http\` server that writes to each and keeps nothing.`,
  anywhere: true,
  async run(progress, url): Promise<Measurements> {
    return url === undefined ? measureBoth(progress) : measureOne(progress, url)
  },
}

async function measureBoth(progress: Progress): Promise<Measurements> {
  const results: Results = new Map()
  for (let round = 1; round <= ROUNDS; round++)
    for (const what of Object.keys(points))
      for (const [name, make] of Object.entries(servers)) {
        progress(`round ${round} of ${ROUNDS}: ${what}, ${name}`)
        const server = await make()
        note(results, `${what}|${name}`, await loaded(server, what))
        await server.stop()
      }
  const ratios = Object.keys(points).flatMap((what) => {
    const [ours, theirs] = Object.keys(servers).map((name) => results.get(`${what}|${name}`)!)
    const ratio = (of: string, figure: (driven: Driven) => number | undefined, goal?: string) => {
      const pairs = ours!.map((own, i) => (figure(own) ?? Number.NaN) / (figure(theirs![i]!) ?? Number.NaN))
      return { of: `${of}, hub / plain: ${what}`, value: median(pairs), ...(goal !== undefined && { goal }) }
    }
    if (points[what]!.rate !== undefined) return [ratio('p99', ({ p99 }) => p99, '≤ 1.2')]
    if (what.startsWith('1 reader')) return [ratio('p50', ({ p50 }) => p50, '≤ 1.2')]
    if (points[what]!.inFlight === 10) return [ratio('deliveries/s', rateOf, '≥ 6')]
    const goal = points[what]!.topics > 1 ? '≤ 1.3' : points[what]!.readers >= 1000 ? '≤ 1' : undefined
    return [ratio('CPU a delivery', ({ cpuUs }) => cpuUs, goal)]
  })
  return {
    lines: [...results].map(([key, driven]) => {
      const [what, server] = key.split('|')
      return { what: what!, server: server!, ...figuresOf(driven) }
    }),
    ratios,
    notes: [
      `medians of ${ROUNDS} rounds, each on new servers, one after another`,
      'one other process makes the load; at hundreds of thousands of deliveries a second it is busy itself, and the hub could do more',
      'KB a reader: how much more memory the server holds with the readers connected',
    ],
  }
}

/** Measures a hub on another machine, without its processor time and memory, which only that machine can measure. */
async function measureOne(progress: Progress, url: string): Promise<Measurements> {
  const lines: Measurements['lines'][number][] = []
  for (const [what, { readers }] of Object.entries(points)) {
    if (readers > 1000) continue
    progress(what)
    lines.push({ what, ...figuresOf([await loaded({ url }, what)]) })
  }
  return { lines, ratios: [] }
}

function loaded(target: Parameters<typeof drive>[0], what: string): Promise<Driven> {
  return drive(target, { ...points[what]!, bytes: BYTES, warmMs: 700, forMs: 1500 })
}

function figuresOf(driven: readonly Driven[]) {
  const of = (figure: (one: Driven) => number | undefined) => {
    const known = driven.map(figure).filter((value) => value !== undefined)
    return known.length === 0 ? undefined : median(known)
  }
  return {
    'deliveries/s': of(rateOf),
    'CPU, µs a delivery': of(({ cpuUs }) => cpuUs),
    'p50, ms': of(({ p50 }) => p50),
    'p99, ms': of(({ p99 }) => p99),
    'KB a reader': of(({ bytesPerReader }) => bytesPerReader && bytesPerReader / 1024),
    'missing, wrong': driven.map(({ missing, wrong }) => missing + wrong).reduce((sum, one) => sum + one, 0),
  }
}

function rateOf({ deliveries, ms }: Driven): number {
  return (1000 * deliveries) / ms
}

function note(results: Results, key: string, driven: Driven): void {
  const known = results.get(key)
  if (known) known.push(driven)
  else results.set(key, [driven])
}
