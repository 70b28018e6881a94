import { folder, type Server, start } from '../../server/server.ts'
import { RETENTION_COUNT } from '../filled.ts'
import { postFor } from '../post.ts'
import { median } from '../quantile.ts'
import type { Measurements, Progress, Row } from '../row.ts'
import { type Usage, watchUsage } from '../usage.ts'

const EVENTS = 100_000
/** Lines that a program writes at once: about 30 KiB. */
const LINES_A_CHUNK = 256
const POSTING_MS = 3000
const LIST = 100
/** Each round starts new servers. The speed of a machine changes from minute to minute, the ratio of a round hardly does. */
const ROUNDS = 3

const MIB = 1024 ** 2

const message = JSON.stringify({ data: 'x'.repeat(100) })
const list = `[${Array.from({ length: LIST }, () => message).join()}]`

interface Sent {
  readonly events: number
  readonly ms: number
  readonly usage: Usage | undefined
}

/** Ways to publish. Streams come first, because their memory is measured, and posts before them would have grown the process. */
const ways = {
  stream: { says: 'NDJSON, one request', send: (server: Server) => stream(server, EVENTS) },
  longStream: { says: 'NDJSON, one request, five times as long', send: (server: Server) => stream(server, 5 * EVENTS) },
  longAgain: { says: 'the same again', send: (server: Server) => stream(server, 5 * EVENTS) },
  post: { says: 'a POST for each, 1 in flight', send: (server: Server) => post(server, message, 1, 1) },
  posts: { says: 'a POST for each, 16 in flight', send: (server: Server) => post(server, message, 1, 16) },
  lists: { says: `lists of ${LIST}, 1 in flight`, send: (server: Server) => post(server, list, LIST, 1) },
}

type Way = keyof typeof ways

const streaming: readonly Way[] = ['stream', 'longStream', 'longAgain']

type Round = Record<Way, Sent> & { readonly warm: Usage | undefined }

export const ndjson: Row = {
  name: 'ndjson',
  says: `Publishes ${EVENTS.toLocaleString('en')} events of 100 bytes to the default log, in one NDJSON request and in many requests.`,
  async run(progress): Promise<Measurements> {
    const rounds: Round[] = []
    for (let n = 1; n <= ROUNDS; n++) rounds.push(await round((what) => progress(`round ${n} of ${ROUNDS}: ${what}`)))
    return {
      lines: (Object.keys(ways) as Way[]).map((way) => lineOf(rounds, way)),
      ratios: [ratioOf(rounds, 'post', '≥ 5'), ratioOf(rounds, 'posts', '≥ 5'), ratioOf(rounds, 'lists')],
      notes: [
        `medians of ${ROUNDS} rounds; the body is ${mib(EVENTS)} MiB, and the long one ${mib(5 * EVENTS)} MiB`,
        'RSS growth counts from a server warmed up with 20,000 events, more than its window keeps; it is bounded if the same again adds nothing',
      ],
    }
  },
}

async function round(progress: Progress): Promise<Round> {
  const server = await start({ LOG: `sqlite:${folder()}/hub.db`, RETENTION_COUNT: `${RETENTION_COUNT}` })
  progress('warms up')
  await stream(server, 20_000)
  for (const lanes of [1, 16]) await postFor(urlOf(server), message, lanes, 500)
  const warm = watchUsage(server.serves)()
  const sent: [string, Sent][] = []
  for (const [way, { says, send }] of Object.entries(ways)) {
    progress(says)
    sent.push([way, await send(server)])
  }
  await server.kill('SIGTERM')
  return { ...(Object.fromEntries(sent) as Record<Way, Sent>), warm }
}

/** Sends one request with a body that is generated as it is read. */
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
  if (answer.status !== 200 || JSON.parse(text).taken !== events)
    throw new Error(`Cannot stream ${events} events: ${answer.status} ${text}`)
  return { events, ms, usage: used() }
}

async function post(server: Server, body: string, events: number, lanes: number): Promise<Sent> {
  const used = watchUsage(server.serves)
  const { posts, ms } = await postFor(urlOf(server), body, lanes, POSTING_MS)
  return { events: posts * events, ms, usage: used() }
}

function lineOf(rounds: readonly Round[], way: Way): Measurements['lines'][number] {
  const isMeasured = rounds[0]!.warm !== undefined
  const us = median(rounds.map((each) => usOf(each[way])))
  return {
    how: ways[way].says,
    'events/s': 1e6 / us,
    'µs an event': us,
    'CPU of the server, µs an event': isMeasured
      ? median(rounds.map((each) => each[way].usage!.cpuUs / each[way].events))
      : undefined,
    'RSS grows by at most, MiB':
      isMeasured && streaming.includes(way)
        ? median(rounds.map((each) => (each[way].usage!.peakBytes - each.warm!.peakBytes) / MIB))
        : undefined,
  }
}

function ratioOf(rounds: readonly Round[], way: Way, goal?: string): Measurements['ratios'][number] {
  return {
    of: `time an event: ${ways[way].says} / NDJSON`,
    value: median(rounds.map((each) => usOf(each[way]) / usOf(each.stream))),
    ...(goal !== undefined && { goal }),
  }
}

function urlOf({ url }: Server): string {
  return `${url}/send?topic=t`
}

function usOf({ events, ms }: Sent): number {
  return (1000 * ms) / events
}

function mib(events: number): number {
  return Math.round((events * (message.length + 1)) / MIB)
}
