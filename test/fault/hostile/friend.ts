import { expect, vi } from 'vitest'
import type { Server } from '../../server/server.ts'
import { Stream } from '../../server/stream.ts'

const EVENTS = 20
const HISTORY = 10

/** A client with an address of its own, which uses the hub while another attacks it. */
export class Friend {
  readonly #server: Server
  readonly #stream: Stream
  readonly #expected: string[] = []

  /** Publishes some history, and opens a stream. */
  static async of(server: Server): Promise<Friend> {
    const friend = new Friend(server)
    await friend.#stream.until(() => friend.#stream.reader.control('open').length > 0)
    await friend.isServed()
    return friend
  }

  private constructor(server: Server) {
    this.#server = server
    this.#stream = new Stream(server.port, '/event?topic=friend')
  }

  /** Expects that every event is published and reaches the stream, in order, and that the hub is healthy. */
  async isServed(): Promise<void> {
    const { url } = this.#server
    const statuses: number[] = []
    for (let i = 0; i < EVENTS; i++) {
      const body = `${this.#expected.length}`
      this.#expected.push(body)
      const headers = { 'content-type': 'text/plain' }
      statuses.push((await fetch(`${url}/send?topic=friend`, { method: 'POST', body, headers })).status)
    }
    expect(statuses).toEqual(Array(EVENTS).fill(200))
    await vi.waitFor(() => expect(this.#stream.reader.data).toEqual(this.#expected), { interval: 10, timeout: 5000 })
    expect((await fetch(`${url}/health`)).status).toBe(200)
  }

  /** Expects that history is given each time. */
  async getsHistory(): Promise<void> {
    const statuses: number[] = []
    for (let i = 0; i < EVENTS; i++) {
      const headers = { accept: 'application/json' }
      const response = await fetch(`${this.#server.url}/event?topic=friend&last=${HISTORY}`, { headers })
      const { events } = (await response.json()) as { events?: { data: string }[] }
      statuses.push(response.status)
      expect(events?.map(({ data }) => data)).toEqual(this.#expected.slice(-HISTORY))
    }
    expect(statuses).toEqual(Array(EVENTS).fill(200))
  }

  /** Publishes a streamed body of one item, and returns the status. */
  async streamsBody(): Promise<number> {
    const headers = { 'content-type': 'application/x-ndjson' }
    return (await fetch(`${this.#server.url}/send?topic=other`, { method: 'POST', body: '{"data":"x"}\n', headers }))
      .status
  }

  /** The entries that a topic holds. */
  async kept(topic: string): Promise<number> {
    return ((await (await fetch(`${this.#server.url}/topics/${topic}`)).json()) as { kept?: number }).kept ?? 0
  }
}
