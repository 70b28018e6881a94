import { expect } from 'vitest'
import { Reader } from '../reader.ts'

/** The session of Ann in `live.ts` of the guide to hosts. */
export const ann = { cookie: 'session=a-long-random-text' }
const json = { 'content-type': 'application/json' }

/**
 * Expects that a host serves the hub of `live.ts`: the session of a request decides what it may do, a reader gets what is published with its id,
 * and the hub notices a reader that leaves.
 *
 * @param url where the host has mounted the hub
 */
export async function expectLive(url: string): Promise<void> {
  const send = (topic: string, session = {}) =>
    fetch(`${url}/send?topic=${topic}`, {
      method: 'POST',
      body: '{"data":{"n":1.0}}',
      headers: { ...json, ...session },
    })
  const read = (topic: string, init: RequestInit = {}) =>
    fetch(`${url}/event?topic=${topic}`, { headers: ann, ...init })
  const readers = async () =>
    ((await (await fetch(`${url}/topics/chat/1`, { headers: ann })).json()) as { readers: number }).readers

  const refused = await Promise.all([send('news/1', ann), read('users/bob/1'), send('chat/1')])
  expect(refused.map(({ status }) => status)).toEqual([403, 403, 401])

  const leaving = new AbortController()
  const stream = await read('chat/1', { signal: leaving.signal })
  expect(stream.status).toBe(200)
  const reader = new Reader().follow(stream.body!)
  await expect.poll(() => reader.control('open').length).toBe(1)

  const sent = await send('chat/1', ann)
  expect(sent.status).toBe(200)
  const { id } = (await sent.json()) as { id: string }
  await expect.poll(() => reader.events.slice(1)).toEqual([{ event: undefined, data: '{"n":1.0}', id }])
  expect(await readers()).toBe(1)
  leaving.abort()
  await expect.poll(readers).toBe(0)
}
