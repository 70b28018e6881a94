/**
 * A process that loads a hub as `Load` says, and reports the result to its parent: it counts every delivery and checks the order.
 * The load is a single process, so that the server has the other core.
 */
import { Agent, request } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { Histogram } from './histogram.ts'
import { ReaderSocket } from './reader.ts'

/** The load on a hub. */
export interface Load {
  readonly url: string
  /** Other nodes of the same hub; readers and messages are spread over all. */
  readonly others?: readonly string[]
  readonly readers: number
  /** The number of topics that the readers are spread over. */
  readonly topics: number
  /** What readers add to the query of their stream, one after another; nothing if left out. */
  readonly asking?: readonly string[]
  /** The number of messages in flight at once: published, but not yet received by all of their readers. */
  readonly inFlight: number
  /** Messages a second, at a fixed rate; then `inFlight` is ignored. */
  readonly rate?: number
  readonly bytes: number
  /** `warmMs` is the time before counting begins, `forMs` the time of counting. */
  readonly warmMs: number
  readonly forMs: number
  /** After counting, all readers leave, this many messages are published, and all readers come back. */
  readonly missed?: number
}

export interface Loaded {
  readonly deliveries: number
  readonly publishes: number
  readonly ms: number
  readonly p50: number
  readonly p99: number
  readonly missing: number
  /** Deliveries of messages that came twice or out of order. */
  readonly wrong: number
  /** The time until all returning readers have what they missed. */
  readonly backMs?: number
}

/** Stages that the parent is notified of, so that it can measure the server. */
export type Stage = 'connected' | 'counting' | 'counted'

/** Connections that are opened at once. */
const OPENING = 100
/** Messages that have not arrived this long after the last publish are missing. */
const LOST_MS = 10_000

process.once('message', async (load: Load) => {
  process.send!({ loaded: await run(load) })
  process.exit()
})
process.on('disconnect', () => process.exit())

async function run(load: Load): Promise<Loaded> {
  const { url, others = [], readers, topics, asking = [''], inFlight, rate, bytes, warmMs, forMs } = load
  const agent = new (url.startsWith('https') ? TlsAgent : Agent)({
    keepAlive: true,
    maxSockets: Math.max(32, inFlight),
  })
  const urls = [url, ...others]
  const urlOf = (number: number) => urls[number % urls.length]!
  const late = new Histogram()
  const sentAt: number[] = []
  /** The number of readers that do not have each message yet. */
  const lacking: number[] = []
  let isCounting = false
  let deliveries = 0
  let publishes = 0
  let underWay = 0
  let isOver = false
  let failed: Error | undefined

  const readersOf = (topic: number) => Math.floor(readers / topics) + (topic < readers % topics ? 1 : 0)
  const took = (number: number) => {
    if (isCounting) {
      deliveries++
      late.add(performance.now() - sentAt[number]!)
    }
    if (--lacking[number]! > 0) return
    underWay--
    next()
  }
  const next = () => {
    while (!isOver && rate === undefined && underWay < inFlight) publish()
  }
  const publish = () => {
    const number = sentAt.length
    const topic = number % topics
    lacking.push(readersOf(topic))
    underWay++
    sentAt.push(performance.now())
    const body = `${number} ${'x'.repeat(bytes)}`
    const headers = { 'content-type': 'text/plain', 'content-length': body.length }
    const send = url.startsWith('https') ? tlsRequest : request
    send(`${urlOf(number)}/send?topic=bench/${topic}`, { method: 'POST', agent, headers }, (answer) => {
      if (answer.statusCode !== 200) failed ??= new Error(`Cannot publish: ${url} answers ${answer.statusCode}`)
      else if (isCounting) publishes++
      answer.resume()
    })
      .on('error', (error) => {
        failed ??= error
      })
      .end(body)
  }

  let sockets: ReaderSocket[] = []
  const connect = async () => {
    const before = sockets
    sockets = []
    for (let i = 0; i < readers; i++) {
      const from = before[i]?.lastId
      sockets.push(
        new ReaderSocket(urlOf(i), `/event?topic=bench/${i % topics}${asking[i % asking.length]}`, took, from),
      )
      if (i % OPENING === OPENING - 1) await opened()
    }
    await opened()
  }
  const opened = async () => {
    const until = performance.now() + 30_000
    while (sockets.some(({ isOpen }) => !isOpen)) {
      const closed = sockets.find(({ why }) => why !== undefined)
      if (closed || performance.now() > until) throw new Error(`Cannot subscribe: ${closed?.why ?? 'no answer'}`)
      await pause(2)
    }
  }
  const delivered = async () => {
    for (let until = performance.now() + LOST_MS; underWay > 0 && performance.now() < until; ) await pause(5)
    if (failed) throw failed
  }

  await connect()
  await stage('connected')
  const paced = rate === undefined ? undefined : pace(rate, publish, () => isOver)
  next()
  await pause(warmMs)
  await stage('counting')
  isCounting = true
  const began = performance.now()
  await pause(forMs)
  const ms = performance.now() - began
  isCounting = false
  await stage('counted')
  isOver = true
  await paced
  await delivered()

  let backMs: number | undefined
  if (load.missed !== undefined) {
    for (const socket of sockets) socket.leave()
    await pause(500)
    for (let i = 0; i < load.missed; i++) publish()
    await pause(500)
    const began = performance.now()
    await connect()
    await delivered()
    backMs = performance.now() - began
  }
  const missing = lacking.reduce((sum, left) => sum + Math.max(0, left), 0)
  const wrong = sockets.reduce((sum, socket) => sum + socket.wrong, 0)
  return {
    ...{ deliveries, publishes, ms, missing, wrong },
    ...{ p50: late.quantile(0.5), p99: late.quantile(0.99) },
    ...(backMs !== undefined && { backMs }),
  }
}

/** Notifies the parent, and waits until it has measured. */
function stage(stage: Stage): Promise<void> {
  return new Promise((resolve) => {
    process.once('message', () => resolve())
    process.send!({ stage })
  })
}

async function pace(rate: number, act: () => void, isOver: () => boolean): Promise<void> {
  const began = performance.now()
  for (let n = 0; !isOver(); n++) {
    await pause(Math.max(0, began + (n * 1000) / rate - performance.now()))
    act()
  }
}
