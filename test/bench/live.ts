import { setTimeout as pause } from 'node:timers/promises'
import type { Server } from '../server/server.ts'
import { Stream } from '../server/stream.ts'
import { Poster } from './post.ts'

const RATE = 50
/** Enough for a publish never to wait for a connection. */
const CONNECTIONS = 50

/** Readers of one topic that read at once, and a publisher with a steady rate. */
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
   * Publishes at the rate, without waiting for answers, until the promise settles; resolves with the time, in ms, from each publish
   * until each reader had it.
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
      post.catch(stop) // the error is thrown below
      posts.push(post)
    }
    await Promise.all(posts)
    const wanted = posts.length * this.#streams.length
    for (let tries = 0; this.#late.length < wanted; tries++) {
      if (tries === 500) throw new Error(`Cannot measure: ${this.#late.length} of ${wanted} live events arrived`)
      await pause(10)
    }
    return this.#late
  }

  close(): void {
    for (const { socket } of this.#streams) socket.destroy()
    this.#poster.close()
  }
}
