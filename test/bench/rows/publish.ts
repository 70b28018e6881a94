import { postFor } from '../post.ts'
import { median } from '../quantile.ts'
import type { Measurements, Row } from '../row.ts'
import { hub, hubOnDisk, type Served, yardstick } from '../served.ts'
import { watchUsage } from '../usage.ts'

const ROUNDS = 5
const LANES = 16
const FOR_MS = 2500

const body = JSON.stringify({ data: 'x'.repeat(128) })

const servers = {
  bare: { says: '`@hono/node-server`, which parses and answers', make: () => yardstick('bare') },
  memory: { says: 'hub, LOG=memory:', make: () => hub() },
  disk: { says: 'hub, LOG=sqlite:', make: () => hubOnDisk() },
}

type Name = keyof typeof servers

interface Sent {
  readonly perSecond: number
  readonly cpuUs: number | undefined
}

export const publish: Row = {
  name: 'publish',
  says: `Publishes JSON of 128 bytes without readers, ${LANES} requests in flight; the answer comes when the message is as durable as the log declares.`,
  async run(progress): Promise<Measurements> {
    const sent = { bare: [], memory: [], disk: [] } as Record<Name, Sent[]>
    for (let round = 1; round <= ROUNDS; round++)
      for (const name of Object.keys(servers) as Name[]) {
        progress(`round ${round} of ${ROUNDS}: ${name}`)
        const server = await servers[name].make()
        sent[name].push(await posted(server))
        await server.stop()
      }
    const ratio = (
      of: string,
      figure: (sent: Sent) => number | undefined,
      [one, other]: [Name, Name],
      goal: string,
    ) => ({
      of,
      value: median(sent[one].map((own, i) => (figure(own) ?? Number.NaN) / (figure(sent[other][i]!) ?? Number.NaN))),
      goal,
    })
    return {
      lines: (Object.keys(servers) as Name[]).map((name) => ({
        server: servers[name].says,
        'publishes/s': median(sent[name].map(({ perSecond }) => perSecond)),
        'CPU, µs a publish': median(sent[name].map(({ cpuUs }) => cpuUs ?? Number.NaN)),
      })),
      ratios: [
        ratio('CPU a publish, hub / bare', ({ cpuUs }) => cpuUs, ['memory', 'bare'], '≤ 1.5'),
        ratio('publishes/s, SQLite / memory', ({ perSecond }) => perSecond, ['disk', 'memory'], '≥ 0.5'),
      ],
      notes: [`medians of ${ROUNDS} rounds, each on new servers; the publisher is this process`],
    }
  },
}

async function posted({ url, pid }: Served): Promise<Sent> {
  const to = `${url}/send?topic=bench`
  await postFor(to, body, LANES, 1000)
  const used = watchUsage(pid)
  const { posts, ms } = await postFor(to, body, LANES, FOR_MS)
  const usage = used()
  return { perSecond: (1000 * posts) / ms, cpuUs: usage && usage.cpuUs / posts }
}
