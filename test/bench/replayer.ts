import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { Stream } from '../server/stream.ts'
import { MARK } from './filled.ts'

/** What to replay. The replay ends when `lastId` has arrived, or at any message of the parent. */
export interface Replay {
  readonly port: number
  readonly path: string
  readonly lastId: string
}

export interface Replayed {
  readonly events: number
  readonly ms: number
}

// A thread of its own, because it reads as fast as it can and must not delay other measurements.
const { port, path, lastId } = workerData as Replay
const mark = Buffer.from(MARK)
const end = Buffer.from(`\nid: ${lastId}\n`)
const began = performance.now()
let events = 0
let isOver = false
const stream = new Stream(port, path, {
  take(bytes) {
    const chunk = bytes as Buffer // whole frames: the hub never splits one
    for (let at = chunk.indexOf(mark); at >= 0; at = chunk.indexOf(mark, at + mark.length)) events++
    isOver ||= chunk.includes(end)
  },
})
await Promise.race([stream.until(() => isOver), once(parentPort!, 'message')])
const replayed: Replayed = { events, ms: performance.now() - began }
stream.socket.destroy()
parentPort!.postMessage(replayed)
parentPort!.close()
