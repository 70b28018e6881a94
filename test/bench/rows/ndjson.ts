import { folder, type Server, start } from '../../server/server.ts'
import { postFor } from '../post.ts'
import { median } from '../quantile.ts'
import type { Measurements, Progress, Row } from '../row.ts'
import { type Usage, watchUsage } from '../usage.ts'

const EVENTS = 100_000
/** What a program hands over at once: about 30 KiB. */
const LINES_A_CHUNK = 256
const POSTING_MS = 3000
const LIST = 100
/** Each on a server of its own: the machine is not the same from one minute to the next, the ratio nearly is. */
const ROUNDS = 3

const MIB = 1024 ** 2

const message = JSON.stringify({ data: 'x'.repeat(100) })
const list = `[${Array.from({ length: LIST }, () => message).join()}]`

/** How events get in. */
const ways = {
  'NDJSON, one request': (server: Server) => stream(server, EVENTS),
  'NDJSON, one request, five times as long': (server: Server) => stream(server, 5 * EVENTS),
  'one a post, 1 in flight': (server: Server) => posts(server, 1),
  'one a post, 16 in flight': (server: Server) => posts(server, 16),
  [`lists of ${LIST}, 1 in flight`]: (server: Server) => lists(server),
}

type Way = keyof typeof ways

interface Sent {
  readonly events: number
  readonly ms: number
  readonly usage: Usage | undefined
}

export const ndjson: Row = {
  name: 'ndjson',
  says: `Publishing ${EVENTS.toLocaleString('en')} events of 100 bytes in one NDJSON request, and by posts, to the default log.`,
  async run(progress): Promise<Measurements> {
    const rounds: Record<Way, Sent>[] = []
    for (let n = 1; n <= ROUNDS; n++) rounds.push(await round((way) => progress(`round ${n} of ${ROUNDS}: ${way}`)))
    const medianOf = (of: (round: Record<Way, Sent>) => number) => median(rounds.map(of))
    const lines = Object.keys(ways).map((way) => {
      const used = (of: (sent: Sent, usage: Usage) => number) =>
        rounds[0]![way]!.usage && medianOf((each) => of(each[way]!, each[way]!.usage!))
      return {
        how: way,
        'events/s': medianOf((each) => 1000 / msOf(each[way]!)),
        'µs an event': medianOf((each) => 1000 * msOf(each[way]!)),
        "server's CPU µs an event": used(({ events }, { cpuUs }) => cpuUs / events),
        "server's RSS grows by at most, MiB": used((_, { peakBytes }) => peakBytes / MIB),
      }
    })
    const [streamed] = Object.keys(ways)
    const ratio = (way: Way, goal?: string) => ({
      of: `${way} / NDJSON, time an event`,
      value: medianOf((each) => msOf(each[way]!) / msOf(each[streamed!]!)),
      ...(goal !== undefined && { goal }),
    })
    return {
      lines,
      ratios: [
        ratio('one a post, 1 in flight', '≥ 5'),
        ratio('one a post, 16 in flight', '≥ 5'),
        ratio(`lists of ${LIST}, 1 in flight`),
      ],
      notes: [
        `medians of ${ROUNDS} rounds; the body is ${mib(EVENTS)} MiB, and ${mib(5 * EVENTS)} the long one; the server keeps a window of up to 8 MiB, which is full before`,
      ],
    }
  },
}

async function round(progress: Progress): Promise<Record<Way, Sent>> {
  const server = await start({ LOG: `sqlite:${folder()}/hub.db` })
  progress('warms up')
  await stream(server, 20_000) // more than the window holds
  for (const lanes of [1, 16]) await postFor(urlOf(server), message, lanes, 500)
  const sent: Record<Way, Sent> = {}
  for (const [way, send] of Object.entries(ways)) {
    progress(way)
    sent[way] = await send(server)
  }
  await server.kill('SIGTERM')
  return sent
}

/** A body that is made as it is read. */
async function stream(server: Server, events: number): Promise<Sent> {
  const encoder = new TextEncoder()
  let left = events
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const lines = Math.min(left, LINES_A_CHUNK)
      controller.enqueue(encoder.encode(`${message}\n`.repeat(lines)))
      left -= lines
      if (left === 0) controller.close()
    },
  })
  const used = watchUsage(server.serves)
  const began = performance.now()
  const headers = { 'content-type': 'application/x-ndjson' }
  const answer = await fetch(urlOf(server), { method: 'POST', headers, body, duplex: 'half' } as RequestInit)
  const text = await answer.text()
  const ms = performance.now() - began
  if (JSON.parse(text).taken !== events) throw new Error(`Cannot stream ${events} events: ${answer.status} ${text}`)
  return { events, ms, usage: used() }
}

async function posts(server: Server, lanes: number): Promise<Sent> {
  const used = watchUsage(server.serves)
  const { posts: events, ms } = await postFor(urlOf(server), message, lanes, POSTING_MS)
  return { events, ms, usage: used() }
}

async function lists(server: Server): Promise<Sent> {
  const used = watchUsage(server.serves)
  const { posts, ms } = await postFor(urlOf(server), list, 1, POSTING_MS)
  return { events: posts * LIST, ms, usage: used() }
}

function urlOf({ url }: Server): string {
  return `${url}/send?topic=t`
}

function msOf({ events, ms }: Sent): number {
  return ms / events
}

function mib(events: number): number {
  return Math.round((events * (message.length + 1)) / MIB)
}
