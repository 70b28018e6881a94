import { setTimeout as pause } from 'node:timers/promises'
import type { Server } from '../server/server.ts'
import { Stream } from '../server/stream.ts'
import { Poster } from './post.ts'

const RATE = 50
/** Enough that a publish never waits for a connection. */
const CONNECTIONS = 50

/** Readers of one topic that read at once, while it is published to at a steady pace. */
export class Live {
  readonly #streams: Stream[]
  readonly #poster: Poster
  #late: number[] = []

  static async of(server: Server, readers: number): Promise<Live> {
    const live = new Live(server, readers)
    await Promise.all(live.#streams.map((stream) => stream.until(() => stream.status === 200)))
    return live
  }

  private constructor({ port, url }: Server, readers: number) {
    this.#poster = new Poster(`${url}/send?topic=live`, CONNECTIONS)
    this.#streams = Array.from({ length: readers }, () => {
      const stream: Stream = new Stream(port, '/event?topic=live', {
        take: (bytes) => {
          const { reader } = stream
          reader.feed(bytes)
          for (const { event, data } of reader.events.splice(0))
            if (event === undefined) this.#late.push(performance.now() - Number(data))
        },
      })
      return stream
    })
  }

  /**
   * Publishes until it is told to stop, when it is due and not when the last one was answered; resolves with how long after it
   * was sent each reader got each, in ms.
   */
  async during(until: Promise<unknown>): Promise<readonly number[]> {
    let isOver = false
    const stop = () => {
      isOver = true
    }
    until.then(stop, stop)
    this.#late = []
    const posts: Promise<void>[] = []
    const began = performance.now()
    while (!isOver) {
      await pause(Math.max(0, began + posts.length * (1000 / RATE) - performance.now()))
      const post = this.#poster.post(JSON.stringify({ data: `${performance.now()}` }))
      post.catch(stop) // and thrown below
      posts.push(post)
    }
    await Promise.all(posts)
    const wanted = posts.length * this.#streams.length
    for (let tries = 0; this.#late.length < wanted; tries++) {
      if (tries === 500) throw new Error(`Cannot measure: ${this.#late.length} of ${wanted} live events came`)
      await pause(10)
    }
    return this.#late
  }

  close(): void {
    for (const { socket } of this.#streams) socket.destroy()
    this.#poster.close()
  }
}
