import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { Stream } from '../../server/stream.ts'
import { answers } from './answers.ts'

const PATH = '/event?topic=healthy'
const RATE = 100
/** After this time an event counts as lost. */
const LOST_MS = 15_000

const port = Number(process.argv[2])
/** Readers of the same topic that connect before the measured one, which is therefore served last: a hub in use. */
const crowd: Stream[] = []
/** Opens as many connections as needed, so that no request waits for another, and keeps few. */
const agent = new Agent({ keepAlive: true, maxFreeSockets: 2 })
/** The time from sending an event until the reader has it, by number of the event. */
const late: number[] = []
const complaints: string[] = []
let sent = 0
let from = 0
let lastSeq = 0

let stream: Stream

async function open(): Promise<void> {
  stream = new Stream(port, PATH, { take })
  await stream.until(() => stream.status === 200)
}

function take(bytes: Uint8Array): void {
  const now = performance.now()
  const { reader } = stream
  reader.feed(bytes)
  reader.text = ''
  for (const { event, data, id } of reader.events.splice(0)) {
    if (event === 'hub.open' || event === 'hub.checkpoint') continue
    const [number, sentAt] = data.split(' ').map(Number) as [number, number]
    const seq = Number(id!.slice(id!.lastIndexOf('-') + 1))
    if (event !== undefined) complaints.push(`${event} ${data}`)
    else if (seq <= lastSeq) complaints.push(`event ${number} came at ${seq}, after ${lastSeq}`)
    else if (late[number] !== undefined) complaints.push(`event ${number} came twice`)
    lastSeq = seq
    late[number] = now - sentAt
  }
}

function publish(number: number, sentAt = performance.now()): void {
  const options = {
    port,
    path: '/send?topic=healthy',
    method: 'POST',
    agent,
    headers: { 'content-type': 'text/plain' },
  }
  const failed = (why: unknown) => complaints.push(`event ${number} was not taken: ${why}`)
  const asked = request(options, (answer) => {
    if (answer.statusCode !== 200) failed(answer.statusCode)
    answer.resume()
  })
  asked.on('error', (error: NodeJS.ErrnoException) => {
    // A server may close a kept connection just when it is used again, before it reads anything: every client retries then.
    if (asked.reusedSocket && error.code === 'ECONNRESET') publish(number, sentAt)
    else failed(error)
  })
  asked.end(`${number} ${sentAt}`)
}

/** Publishes at a fixed rate, without waiting for answers. */
async function publishAll(): Promise<never> {
  const began = performance.now()
  for (;;) {
    await pause(Math.max(0, began + sent * (1000 / RATE) - performance.now()))
    publish(sent++)
  }
}

/** Waits for events that were sent, and returns how late they were. */
async function lateOf(begin: number, end: number): Promise<readonly number[]> {
  const came = () => late.slice(begin, end).filter((ms) => ms !== undefined)
  const until = performance.now() + LOST_MS
  while (came().length < end - begin && !stream.closed && performance.now() < until) await pause(10)
  return came()
}

const calls = {
  /** Opens other readers and the measured one, and starts the publisher. */
  async start(others: number) {
    for (let i = 0; i < others; i++) {
      crowd.push(new Stream(port, PATH, { take() {} })) // reads and discards
      await crowd[i]!.until(() => crowd[i]!.status === 200)
    }
    await open()
    void publishAll()
  },
  begin() {
    from = sent
  },
  /** How late the events sent since `begin` arrived, in ms. */
  end: () => lateOf(from, sent),
  /** What went wrong: every event must arrive once, in the order of the log, on one stream and without a gap. */
  async complaints(): Promise<readonly string[]> {
    const all = sent
    await lateOf(0, all)
    const lost = Array.from({ length: all }, (_, i) => i).filter((i) => late[i] === undefined)
    if (lost.length > 0) complaints.push(`${lost.length} events did not arrive, the first is ${lost[0]}`)
    const cut = [stream, ...crowd].filter(({ closed }) => closed).length
    if (cut > 0) complaints.push(`${cut} streams were cut`)
    return complaints.slice(0, 20)
  },
}

export type Healthy = typeof calls

answers(calls)
