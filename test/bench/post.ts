import { Agent, request } from 'node:http'

/** Posts JSON over kept connections, with a limited number of requests at once. */
export class Poster {
  readonly #agent: Agent
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>

  constructor(url: string, connections: number, headers: Readonly<Record<string, string>> = {}) {
    this.#url = url
    this.#headers = headers
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections })
  }

  /** Resolves when the answer is 200 and has been read. */
  async post(body: string): Promise<void> {
    while (!(await this.#tried(body)));
  }

  /** Resolves with false if the server closed a kept connection just when it was used again: then the server has read nothing. */
  #tried(body: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const length = Buffer.byteLength(body)
      const headers = { 'content-type': 'application/json', 'content-length': length, ...this.#headers }
      const posting = request(this.#url, { method: 'POST', agent: this.#agent, headers }, (answer) => {
        answer
          .on('end', () => {
            if (answer.statusCode === 200) resolve(true)
            else reject(new Error(`Cannot publish to ${this.#url}: status ${answer.statusCode}`))
          })
          .on('error', reject)
          .resume()
      })
      posting
        .on('error', (error: NodeJS.ErrnoException) => {
          if (posting.reusedSocket && error.code === 'ECONNRESET') resolve(false)
          else reject(error)
        })
        .end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Posts one body after another, in parallel lanes, for a time. Resolves with the number of posts and the real time. */
export async function postFor(
  url: string,
  body: string,
  lanes: number,
  ms: number,
  headers: Readonly<Record<string, string>> = {},
) {
  const poster = new Poster(url, lanes, headers)
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
