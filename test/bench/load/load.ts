/**
 * A process that loads a hub as `Load` says, and tells its parent what came of it: every delivery is counted, and looked at for its
 * order. One process, so that the other core is the server's.
 */
import { Agent, request } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { Histogram } from './histogram.ts'
import { ReaderSocket } from './reader.ts'

/** What to do to a hub. */
export interface Load {
  readonly url: string
  /** Other nodes of the same hub, over which readers and messages are spread. */
  readonly others?: readonly string[]
  readonly readers: number
  /** Topics that they are spread over. */
  readonly topics: number
  /** Messages that are under way at once: not with all of their readers yet. */
  readonly inFlight: number
  /** Messages a second, when they are due and not when there is room; then `inFlight` is no bound. */
  readonly rate?: number
  readonly bytes: number
  /** How long it goes on before it counts, and how long it counts. */
  readonly warmMs: number
  readonly forMs: number
  /** All leave then, so many are published meanwhile, and all come back. */
  readonly missed?: number
}

export interface Loaded {
  readonly deliveries: number
  readonly publishes: number
  readonly ms: number
  readonly p50: number
  readonly p99: number
  readonly missing: number
  /** Twice, or not in order. */
  readonly wrong: number
  /** Until all of those who came back had what they missed. */
  readonly backMs?: number
}

/** What the parent is told on the way, so that it can look at the server. */
export type Stage = 'connected' | 'counting' | 'counted'

/** Connections that are being opened at once. */
const OPENING = 100
/** So long after the last publish, what has not come is missing. */
const LOST_MS = 10_000

process.once('message', async (load: Load) => {
  process.send!({ loaded: await run(load) })
  process.exit()
})
process.on('disconnect', () => process.exit())

async function run(load: Load): Promise<Loaded> {
  const { url, others = [], readers, topics, inFlight, rate, bytes, warmMs, forMs } = load
  const agent = new (url.startsWith('https') ? TlsAgent : Agent)({
    keepAlive: true,
    maxSockets: Math.max(32, inFlight),
  })
  const urls = [url, ...others]
  const urlOf = (number: number) => urls[number % urls.length]!
  const late = new Histogram()
  const sentAt: number[] = []
  /** Of each message, how many readers do not have it. */
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
      sockets.push(new ReaderSocket(urlOf(i), `/event?topic=bench/${i % topics}`, took, from))
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

/** Tells the parent, and waits until it has looked. */
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
