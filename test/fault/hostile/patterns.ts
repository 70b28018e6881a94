import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { random } from '../../server/random.ts'
import { Stream } from '../../server/stream.ts'
import { attacks } from './answers.ts'

/** As many segments as fit into a topic of 200 bytes, and fewer for hubs that refuse so many. */
const DEPTHS = [100, 50, 20, 10, 5]
/** As many patterns as a stream may have, and fewer for hubs that bound their segments. */
const COUNTS = [100, 50, 30, 20, 10]
const PATIENCE_MS = 500

const port = Number(process.argv[2])
const numbers = random(11)
let depth = 0
let patterns = 0
let streams: Stream[] = []

/** A pattern in which each segment matches the deep topic in two ways, so that all patterns are compared to their ends, where some fail. */
function pattern(ends: readonly string[]): string {
  const segments = Array.from({ length: depth - 1 }, () => numbers.pick(['a', '*']))
  return [...segments, numbers.pick(ends)].join('/')
}

function query(ends: readonly string[], count = patterns): string {
  return Array.from({ length: count }, () => `topic=${pattern(ends)}`).join('&')
}

function topic(last: number): string {
  return [...Array(depth - 1).fill('a'), last].join('/')
}

/** 29 patterns of ten segments, nearly all of nine bytes, which no other reader has. */
function wideQuery(reader: number): string {
  const word = (i: number) => `${reader}.${i}`.padEnd(9, '~')
  const pattern = (n: number) => [...Array.from({ length: 9 }, (_, i) => word(10 * n + i)), '*'].join('/')
  return Array.from({ length: 29 }, (_, n) => `topic=${pattern(n)}`).join('&')
}

/** Status and body. */
function ask(
  method: string,
  path: string,
  body?: string,
  signal?: AbortSignal,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/json', ...(body && { 'content-type': 'application/json' }) }
    request({ port, method, path, headers, ...(signal && { signal }) }, (answer) => {
      let text = ''
      answer
        .setEncoding('utf8')
        .on('data', (piece) => {
          text += piece
        })
        .on('end', () => resolve({ status: answer.statusCode!, text }))
        .on('error', reject)
    })
      .on('error', reject)
      .end(body)
  })
}

async function publish(messages: readonly unknown[]): Promise<string> {
  const { status, text } = await ask('POST', '/send', JSON.stringify(messages))
  if (status !== 200) throw new Error(`Cannot publish: ${text}`)
  return JSON.parse(text).ids.at(-1)
}

const calls = {
  /** Finds out how many segments of a pattern, and patterns of a stream, the hub allows. */
  async prepare(): Promise<{ depth: number; patterns: number }> {
    for (depth of DEPTHS) {
      const said = await ask('GET', `/event?${query(['b'], 1)}`)
      if (said.status === 200 && (await ask('POST', `/send?topic=${topic(0)}`, '{"data":"x"}')).status === 200) break
    }
    for (patterns of COUNTS) if ((await ask('GET', `/event?${query(['b'])}`)).status === 200) break
    return { depth, patterns }
  },
  /** Opens streams, each with as many patterns as allowed. */
  async begin(count: number) {
    for (let i = 0; i < count; i++) {
      const stream = new Stream(port, `/event?${query(['b', '**'])}`, { take() {} }) // reads and discards
      streams.push(stream)
      await stream.until(() => stream.status > 0)
      if (stream.status !== 200) throw new Error(`Cannot subscribe: ${stream.status}`)
    }
  },
  /** Opens streams of one pattern that all of them share, and many that none of them share. */
  async beginShared(count: number, isWide: boolean) {
    for (let i = 0; i < count; i++) {
      const stream = new Stream(port, `/event?${isWide ? wideQuery(i) : ''}&topic=all/*`)
      streams.push(stream)
      await stream.until(() => stream.reader.control('open').length > 0)
    }
  },
  /** How many streams have received these events, and nothing else. */
  received(data: readonly string[]): number {
    return streams.filter(({ reader }) => JSON.stringify(reader.data) === JSON.stringify(data)).length
  },
  /** Publishes to deep topics, one event after another, at a rate a second, for a time. */
  async publish(rate: number, ms: number) {
    const began = performance.now()
    for (let n = 1; performance.now() - began < ms; n++) {
      await publish([{ topic: topic(n % 10), data: 'x' }])
      await pause(Math.max(0, began + (n * 1000) / rate - performance.now()))
    }
  },
  /**
   * Requests history for a time, by patterns that all nearly match: from a position `events` back, in the window, and from the
   * beginning of the log. Gives up on requests that are not answered at once.
   */
  async resume(events: number, ms: number) {
    const began = performance.now()
    while (performance.now() - began < ms) {
      const [epoch, seq] = (await publish([{ topic: topic(0), data: 'x' }])).split('-') as [string, string]
      for (const beginning of [`lastEventId=${epoch}-${Number(seq) - events}`, 'from=earliest'])
        await ask('GET', `/event?${beginning}&${query(['b'])}`, undefined, AbortSignal.timeout(PATIENCE_MS)).catch(
          () => {},
        )
    }
  },
  /** Fills the log and the window with events of deep topics. */
  async fill(events: number) {
    for (let n = 0; n < events; n += 100)
      await publish(Array.from({ length: 100 }, (_, i) => ({ topic: topic(i % 10), data: 'x' })))
  },
  end() {
    for (const { socket } of streams) socket.destroy()
    streams = []
  },
}

export type Patterns = typeof calls

attacks(calls)
