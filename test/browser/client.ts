import { expect } from 'vitest'
import { folder, freePort, type Server } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

/** Requests of programs, beside the pages that people have open. */

/** Sets the value of the demo. */
export async function send({ url }: Server, message: string): Promise<{ id: string }> {
  return post(`${url}/send`, { message })
}

export async function publish({ url }: Server, topic: string, ...data: string[]): Promise<void> {
  for (const one of data) await post(`${url}/send?topic=${topic}`, { data: one })
}

export async function post(url: string, body: object): Promise<{ id: string }> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(200)
  return (await answer.json()) as { id: string }
}

/** Resolves when every open demo stream has repeated its value this many times. */
export async function repeats({ port }: Server, times: number): Promise<Stream['reader']> {
  const stream = new Stream(port, '/event')
  // One repeat more, because the seconds of other streams begin at other moments.
  await stream.until(() => stream.reader.events.length > times + 1)
  stream.socket.destroy()
  return stream.reader
}

/** Settings of a server that can be killed and started again with the same port and log. */
export async function lasting(): Promise<Record<string, string>> {
  return { PORT: `${await freePort()}`, LOG: `sqlite:${folder()}/hub.db`, RETRY: '500ms' }
}
