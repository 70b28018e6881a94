import { setTimeout as pause } from 'node:timers/promises'
import { Poster } from '../../bench/post.ts'
import { Stream } from '../../server/stream.ts'
import { attacks } from './answers.ts'

const EVENT_BYTES = 200
const LIST = 200
const LANES = 2

const port = Number(process.argv[2])
const poster = new Poster(`http://127.0.0.1:${port}/send?topic=firehose`, LANES)
const list = JSON.stringify(Array.from({ length: LIST }, () => ({ data: 'x'.repeat(EVENT_BYTES) })))
let streams: Stream[] = []

const calls = {
  /** Opens readers that never read a byte. */
  async begin(count: number) {
    for (let i = 0; i < count; i++) {
      const stream = new Stream(port, '/event?topic=firehose')
      stream.socket.pause() // before it connects; otherwise it reads a first buffer
      streams.push(stream)
      while (streams.filter(({ socket }) => socket.connecting).length > 100) await pause(1)
    }
  },
  /** Publishes this many bytes of events to them, evenly over at least this time. */
  async flood(bytes: number, overMs: number) {
    const began = performance.now()
    let left = Math.ceil(bytes / (LIST * EVENT_BYTES))
    const all = left
    const lane = async () => {
      while (left > 0) {
        const at = began + (overMs * (all - left--)) / all
        await pause(Math.max(0, at - performance.now()))
        await poster.post(list)
      }
    }
    await Promise.all(Array.from({ length: LANES }, lane))
    return performance.now() - began
  },
  end() {
    for (const { socket } of streams) socket.destroy()
    streams = []
  },
}

export type Deaf = typeof calls

attacks(calls)
