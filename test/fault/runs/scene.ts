import { setTimeout as pause } from 'node:timers/promises'
import { type Random, random } from '../../server/random.ts'
import { post } from '../../server/resuming.ts'
import { Stream } from '../../server/stream.ts'
import type { HubProcesses } from './hub.ts'
import { ProducerProcess } from './process.ts'
import { RunReader } from './reader.ts'

const LEASE_MS = 800
const READERS = 2
/** Beside what R3 allows: processes and sockets of a busy machine are late themselves. */
const BUSY_MS = 20_000

export interface Size {
  readonly kills: number
  /** Runs at a time. */
  readonly lanes: number
  /** Shortest and longest time between two kills of a node, in ms. */
  readonly everyMs: readonly [number, number]
}

/** A run with all its processes and readers. */
interface OneRun {
  readonly topic: string
  readonly graceMs: number
  readonly producers: ProducerProcess[]
  readonly readers: readonly RunReader[]
  outcome: string | undefined
}

/** What was started and seen to end, and each broken promise as a sentence. */
export interface Seen {
  readonly kills: { hubs: number; producers: number }
  readonly started: { runs: number; producers: number; readers: number }
  readonly ended: { runs: number; producers: number; readers: number }
  readonly outcomes: Record<string, number>
  /** Streams of all readers: each reader comes back after each cut. */
  streams: number
  acknowledged: number
  events: number
  /** How many readers were told the end by a 204. */
  told204: number
  stuck: number
  doubled: number
  missing: number
  superseded: number
  /** How long after lease and grace, and after what outages add, the last reader was told of an abandoned run, in ms. */
  latestMs: number
  readonly broken: string[]
}

/** Runs producers and readers against a hub while both are killed, and compares what each reader got with the log. */
export async function play(hub: HubProcesses, size: Size): Promise<Seen> {
  const seen: Seen = {
    ...{ kills: { hubs: 0, producers: 0 }, started: { runs: 0, producers: 0, readers: 0 } },
    ...{ ended: { runs: 0, producers: 0, readers: 0 }, outcomes: {}, streams: 0, acknowledged: 0, events: 0 },
    ...{ told204: 0, stuck: 0, doubled: 0, missing: 0, superseded: 0, latestMs: 0, broken: [] },
  }
  const all: OneRun[] = []
  const isOver = () => seen.kills.hubs + seen.kills.producers >= size.kills
  const lane = async (n: number) => {
    const numbers = random(500 + n)
    do await oneRun(hub, seen, all, numbers)
    while (!isOver())
  }
  const killer = async (numbers: Random) => {
    do {
      await pause(numbers.whole(...(size.everyMs as [number, number])))
      await hub.kill(numbers.whole(0, 1000))
      seen.kills.hubs++
    } while (!isOver())
  }
  await Promise.all([...Array.from({ length: size.lanes }, (_, n) => lane(n)), killer(random(499))])
  await compare(hub, seen, all)
  return seen
}

async function oneRun(hub: HubProcesses, seen: Seen, all: OneRun[], numbers: Random): Promise<void> {
  const topic = `runs/${all.length}`
  const graceMs = numbers.pick([0, LEASE_MS / 2, LEASE_MS])
  const port = async () => (await hub.any(numbers.whole(0, 1000))).port
  const readers = Array.from({ length: READERS }, () => new RunReader(topic, port, numbers))
  const run: OneRun = { topic, graceMs, producers: [], readers, outcome: undefined }
  all.push(run)
  seen.started.runs++
  seen.started.readers += READERS
  const way = numbers.pick(['calls', 'body'] as const)
  const tokens = numbers.whole(1, 60) // of each producer: a body with the key of another one has the same items
  const launch = () => {
    const name = `p${run.producers.length}`
    const order = { name, way, urls: hub.urls, topic, key: topic, leaseMs: LEASE_MS, graceMs }
    const made = new ProducerProcess({ ...order, tokens, everyMs: numbers.whole(1, 40) })
    run.producers.push(made)
    seen.started.producers++
    return made
  }
  const live = async (isKilled: boolean) => {
    const producer = launch()
    if (isKilled) {
      while (way === 'calls' && !producer.hasBegun && producer.endedAt === undefined) await pause(5)
      await pause(numbers.whole(0, 600))
      if (await producer.kill()) seen.kills.producers++
    }
    await producer.ended
    seen.ended.producers++
    if (!producer.over && producer.errors !== '') seen.broken.push(`a producer of ${topic} failed: ${producer.errors}`)
  }
  await Promise.all([
    live(numbers() < 0.8),
    numbers() < 0.15 && pause(numbers.whole(100, 1500)).then(() => live(numbers() < 0.5)), // a retry, while the first may live
    numbers() < 0.15 && pause(numbers.whole(0, 1500)).then(() => stop(hub, topic, numbers)),
  ])
  if (numbers() < 0.3) await live(numbers() < 0.3) // the retry of a client that has waited
  while (!(await infoOf(hub, topic, numbers))) await live(false) // each producer was killed before it could claim
  const lastEnd = Math.max(...run.producers.map(({ endedAt }) => endedAt!))
  for (;;) {
    if (readers.every(({ endedAt }) => endedAt !== undefined)) break
    if (performance.now() > dueBy(hub, run, lastEnd) + BUSY_MS) break
    await pause(20)
  }
  for (const reader of readers) if (reader.endedAt === undefined) seen.stuck++
  await Promise.all(readers.map((reader) => (reader.endedAt === undefined ? reader.giveUp() : reader.ended)))
  seen.ended.readers += readers.filter(({ endedAt }) => endedAt !== undefined).length
  run.outcome = (await infoOf(hub, topic, numbers))?.outcome
  if (run.outcome === 'abandoned')
    for (const { endedAt } of readers)
      if (endedAt !== undefined) seen.latestMs = Math.max(seen.latestMs, endedAt - dueBy(hub, run, lastEnd))
  if (run.outcome) seen.ended.runs++
}

/** When the readers of a run are told at the latest, but for the second that R3 allows: each outage adds its time, lease and grace. */
function dueBy({ outages }: HubProcesses, { graceMs }: OneRun, lastEnd: number): number {
  let due = lastEnd + LEASE_MS + graceMs
  for (const { from, to } of outages)
    if (from <= due + 1000 && to >= lastEnd) due = Math.max(due, to + LEASE_MS + graceMs)
  return due
}

interface Info {
  readonly outcome?: string
}

/** The run of a topic; undefined if nobody has claimed it. */
async function infoOf(hub: HubProcesses, topic: string, numbers: Random): Promise<Info | undefined> {
  for (;;) {
    const { url } = await hub.any(numbers.whole(0, 1000))
    const answer = await fetch(`${url}/runs/${topic}`).catch(() => undefined)
    if (answer?.ok) return (await answer.json()) as Info
    if (answer?.status === 404) return
    await pause(50)
  }
}

async function stop(hub: HubProcesses, topic: string, numbers: Random): Promise<void> {
  const { url } = await hub.any(numbers.whole(0, 1000))
  await fetch(`${url}/stop?topic=${topic}`, { method: 'POST' }).catch(() => {}) // nobody needs the stop to arrive
}

/** Compares what readers got and producers were told with the log, read anew. */
async function compare(hub: HubProcesses, seen: Seen, all: readonly OneRun[]): Promise<void> {
  const log = await logOf(hub)
  for (const { topic, producers, readers, outcome } of all) {
    const entries = log.get(topic) ?? []
    const known = new Map(entries.map(({ id, data }) => [id, data]))
    seen.events += entries.length
    seen.outcomes[outcome ?? 'none'] = (seen.outcomes[outcome ?? 'none'] ?? 0) + 1
    if (!outcome) seen.broken.push(`the run of ${topic} has not ended`)
    seen.doubled += entries.length - new Set(entries.map(({ data }) => data)).size
    // Bodies with the same key say the same again, so all of them together say each item once and in order.
    const order = entries.map(({ data }) => data.split(':').map(Number))
    for (const [i, [fence, , n]] of order.entries())
      if (i > 0 && (fence! < order[i - 1]![0]! || (fence === 0 && n !== order[i - 1]![2]! + 1))) seen.superseded++
    for (const step of producers.flatMap(({ steps }) => steps))
      if ('acknowledged' in step) {
        seen.acknowledged++
        if (known.get(step.id) !== step.acknowledged) seen.missing++
      }
    for (const { got, gaps, ends, streams, endedAt } of readers) {
      seen.streams += streams
      if (endedAt === undefined) continue
      if (ends.length !== 1) seen.broken.push(`a reader of ${topic} was told ${ends.length} ends: ${ends}`)
      if (ends[0] === '204') seen.told204++
      else if (ends[0] !== outcome) seen.broken.push(`a reader of ${topic} was told ${ends[0]}, not ${outcome}`)
      if (gaps.length > 0) seen.broken.push(`a reader of ${topic} was told of a gap: ${gaps}`)
      if (JSON.stringify(got) !== JSON.stringify(entries))
        seen.broken.push(`a reader of ${topic} got ${got.length} events, not the ${entries.length} of the log`)
    }
  }
}

/** Everything in the log, by topic. */
async function logOf(hub: HubProcesses): Promise<Map<string, { readonly id: string; readonly data: string }[]>> {
  const { port, url } = await hub.any(0)
  const { id: end } = (await post<{ id: string }>(`${url}/send?topic=runs/end`, { data: 'end' }))!
  const stream = new Stream(port, '/event?topic=runs/*&from=earliest&envelope=true')
  await stream.until(() => stream.reader.events.at(-1)?.id === end)
  stream.socket.destroy()
  const log = new Map<string, { readonly id: string; readonly data: string }[]>()
  for (const { event, data: envelope, id } of stream.reader.events) {
    if (event?.startsWith('hub.')) continue
    const { topic, data } = JSON.parse(envelope) as { topic: string; data: string }
    log.set(topic, [...(log.get(topic) ?? []), { id: id!, data }])
  }
  return log
}
