import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Stream } from '../../server/stream.ts'
import { attacks } from './answers.ts'

const EVERY_MS = 1000
/** Senders are spread over this many moments, like independent ones. */
const SHARES = 100

const head = (type: string) =>
  `POST /send?topic=slow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${type}\r\nContent-Length: 1000\r\n\r\n`

/** What is sent at once, and what then follows one byte a second. */
const kinds = {
  headers: { sent: 'GET /event?topic=slow HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ', slowly: 'x' },
  json: { sent: head('application/json'), slowly: ' ' },
  ndjson: { sent: head('application/x-ndjson'), slowly: ' ' },
}

export type Kind = keyof typeof kinds

/** How the connections of one kind ended. */
export interface Ending {
  /** How many were answered with each status; 0 is no answer. */
  readonly statuses: Readonly<Record<string, number>>
  /** The time until the first answer. */
  readonly answeredMs: number
  /** How many were closed, and the time until the last one was. */
  readonly closed: number
  readonly lastMs: number
}

interface Sender {
  readonly kind: Kind
  readonly stream: Stream
  readonly openedAt: number
  answeredAt?: number
  closedAt?: number
}

const port = Number(process.argv[2])
let senders: Sender[] = []
let share = 0

setInterval(() => {
  share = (share + 1) % SHARES
  for (const [i, { kind, stream }] of senders.entries())
    if (i % SHARES === share && stream.socket.writable) stream.socket.write(kinds[kind].slowly)
}, EVERY_MS / SHARES)

const calls = {
  /** Opens `count` senders of each kind, evenly over at least this time. */
  async begin(count: number, overMs: number) {
    const began = performance.now()
    for (let i = 0; i < count; i++) {
      await pause(Math.max(0, began + (overMs * i) / count - performance.now()))
      for (const kind of Object.keys(kinds) as Kind[]) {
        const stream = new Stream(port, '', { sent: kinds[kind].sent, take: () => {} }) // its answers are no event streams
        const sender: Sender = { kind, stream, openedAt: performance.now() }
        stream
          .until(() => stream.status > 0)
          .then(
            () => {
              sender.answeredAt = performance.now()
            },
            () => {}, // The connection was closed without an answer.
          )
        stream.gone().then(() => {
          sender.closedAt = performance.now()
        })
        senders.push(sender)
        if (stream.socket.connecting) await once(stream.socket, 'connect')
      }
    }
  },
  /** Resolves when the server has ended all of them, or after this time. */
  async endings(withinMs: number): Promise<Record<Kind, Ending>> {
    const until = performance.now() + withinMs
    while (senders.some(({ closedAt }) => closedAt === undefined) && performance.now() < until) await pause(50)
    const of = (kind: Kind): Ending => {
      const all = senders.filter((sender) => sender.kind === kind)
      const statuses: Record<string, number> = {}
      for (const { stream } of all) statuses[stream.status] = (statuses[stream.status] ?? 0) + 1
      const after = (name: 'answeredAt' | 'closedAt') =>
        all.filter((sender) => sender[name] !== undefined).map((sender) => Math.round(sender[name]! - sender.openedAt))
      const closed = after('closedAt')
      return {
        statuses,
        answeredMs: Math.min(...after('answeredAt')),
        closed: closed.length,
        lastMs: Math.max(...closed),
      }
    }
    return { headers: of('headers'), json: of('json'), ndjson: of('ndjson') }
  },
  end() {
    for (const { stream } of senders) stream.socket.destroy()
    senders = []
  },
}

export type Slow = typeof calls

attacks(calls)
