import { expect } from 'vitest'
import { folder, freePort, type Server } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

/** What a program does while people look at their pages. */

/** The seed's call. */
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

/** Resolves when every open stream has had its value repeated so many times. */
export async function repeats({ port }: Server, times: number): Promise<Stream['reader']> {
  const stream = new Stream(port, '/event')
  // One more than asked: the others' seconds do not begin with ours.
  await stream.until(() => stream.reader.events.length > times + 1)
  stream.socket.destroy()
  return stream.reader
}

/** Settings of a server that can be killed and come back as itself: same port, same log. */
export async function lasting(): Promise<Record<string, string>> {
  return { PORT: `${await freePort()}`, LOG: `sqlite:${folder()}/hub.db`, RETRY: '500ms' }
}
