import { once } from 'node:events'
import { Stream } from '../../server/stream.ts'
import { attacks } from './answers.ts'
import { statusesOf } from './statuses.ts'

/** The address that a trusted proxy names for all of them. */
const ADDRESS = '10.0.0.1'

/** Streamed bodies of about 65 KB with as many items as fit: all of the body, and the beginning of one that never ends. */
const kinds = [
  { type: 'application/x-ndjson', item: '{"data":"x"}\n', times: 1 },
  { type: 'application/x-ndjson', item: '{"data":"x"}\n', times: 2 },
  { type: 'text/event-stream', item: 'data: x\n\n', times: 1 },
  { type: 'text/event-stream', item: 'data: x\n\n', times: 2 },
].map(({ type, item, times }) => {
  const body = item.repeat(65_000 / item.length)
  const head = `POST /send?topic=flood HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: ${ADDRESS}`
  return `${head}\r\nContent-Type: ${type}\r\nContent-Length: ${times * body.length}\r\n\r\n${body}`
})

const port = Number(process.argv[2])
let uploads: Stream[] = []

const calls = {
  /** Opens connections, each with a body that is published for longer than a test lasts. */
  async begin(count: number) {
    for (let i = 0; i < count; i++) {
      const stream = new Stream(port, '', { sent: kinds[i % kinds.length]! })
      uploads.push(stream)
      if (stream.socket.connecting) await once(stream.socket, 'connect')
    }
  },
  /** How many were answered with each status. */
  statuses(): Readonly<Record<string, number>> {
    return statusesOf(uploads)
  },
  /** Closes all connections. */
  end() {
    for (const { socket } of uploads) socket.destroy()
    uploads = []
  },
}

export type Uploads = typeof calls

attacks(calls)
