import { Agent, request } from 'node:http'

/** Posts JSON over connections that are kept, at most so many requests at once. */
export class Poster {
  readonly #agent: Agent
  readonly #url: string

  constructor(url: string, connections: number) {
    this.#url = url
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections })
  }

  /** Resolves when it has been answered with 200, and the answer been read. */
  post(body: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
      request(this.#url, { method: 'POST', agent: this.#agent, headers }, (answer) => {
        answer
          .on('end', () => {
            if (answer.statusCode === 200) resolve()
            else reject(new Error(`Cannot publish to ${this.#url}: status ${answer.statusCode}`))
          })
          .on('error', reject)
          .resume()
      })
        .on('error', reject)
        .end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Posts one after another, in so many lanes, for so long; tells how many and how long it took. */
export async function postFor(url: string, body: string, lanes: number, ms: number) {
  const poster = new Poster(url, lanes)
  const began = performance.now()
  let posts = 0
  const lane = async () => {
    while (performance.now() - began < ms) {
      await poster.post(body)
      posts++
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  const took = performance.now() - began
  poster.close()
  return { posts, ms: took }
}
