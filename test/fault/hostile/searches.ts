import { once } from 'node:events'
import { Stream } from '../../server/stream.ts'
import { attacks } from './answers.ts'
import { statusesOf } from './statuses.ts'

/** A search through the whole log: no topic matches. */
const SEARCH = 'GET /event?topic=nothing/*&last=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'

const port = Number(process.argv[2])
let searches: Stream[] = []

const calls = {
  /** Requests history that takes a search. */
  async begin(count: number) {
    for (let i = 0; i < count; i++) {
      const stream = new Stream(port, '', { sent: SEARCH })
      searches.push(stream)
      if (stream.socket.connecting) await once(stream.socket, 'connect')
    }
  },
  /** How many were answered with each status. */
  statuses(): Readonly<Record<string, number>> {
    return statusesOf(searches)
  },
  /** Leaves without an answer. */
  end() {
    for (const { socket } of searches) socket.destroy()
    searches = []
  },
}

export type Searches = typeof calls

attacks(calls)
