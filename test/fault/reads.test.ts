import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { part } from '../part.ts'
import { bun, deno, node } from '../server/runtimes.ts'
import { cleanUp, folder, start } from '../server/server.ts'

afterEach(cleanUp)

describe.each(part([node], [bun, deno]))('a hub on $name whose log cannot be read', (runtime) => {
  test('refuses polls, ends streams with a retry, logs one line with the cause, and is not ready until the log works', async () => {
    const file = join(folder(), 'hub.db')
    const server = await start({ LOG: `sqlite:${file}`, WINDOW_COUNT: '1' }, runtime)
    const messages = [1, 2, 3, 4, 5].map((i) => ({ topic: 'a', data: `${i}` }))
    const sent = await fetch(`${server.url}/send?topic=a`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(messages),
    })
    const [id] = ((await sent.json()) as { ids: string[] }).ids
    const get = (path: string, accept: string) => fetch(`${server.url}${path}`, { headers: { accept } })
    const poll = () => get(`/event?topic=a&lastEventId=${id}`, 'application/json')
    const ready = async () => (await get('/ready', 'application/json')).status
    expect(await ready()).toBe(200)

    const database = new DatabaseSync(file)
    database.exec('ALTER TABLE entry RENAME TO lost')
    for (let i = 0; i < 3; i++) {
      const refused = await poll()
      expect([refused.status, await refused.json()]).toEqual([503, expect.objectContaining({ code: 'log_unusable' })])
      expect(refused.headers.get('retry-after')).toBe('5')
      const stream = await get(`/event?topic=a&lastEventId=${id}`, 'text/event-stream')
      expect([stream.status, await stream.text()]).toEqual([
        200,
        expect.stringMatching(/event: hub\.ending\ndata: \{\}\nretry: \d+\n\n$/),
      ])
      expect(await ready()).toBe(503)
    }
    await server.says(/Cannot read the log/)
    const lines = server.output.split('\n').filter((line) => line.includes('Cannot read the log'))
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ level: 'error', causes: [expect.stringContaining('no such table')] }),
    ])

    database.exec('ALTER TABLE lost RENAME TO entry')
    database.close()
    const answer = await poll()
    expect([answer.status, await answer.json()]).toEqual([
      200,
      expect.objectContaining({ events: ['2', '3', '4', '5'].map((data) => expect.objectContaining({ data })) }),
    ])
    await expect.poll(ready, { timeout: 10_000 }).toBe(200)
  })
})

describe.each(part(['app.request()'], []))('a poll over %s', () => {
  const request = (app: ReturnType<typeof createApp>, id: string) =>
    app.request(`http://localhost/event?topic=a&lastEventId=${id}&wait=5`, { headers: { accept: 'application/json' } })

  test('is refused when reading the log fails, and the failure is reported to the operator with its cause', async () => {
    const log = memoryLog()
    const failed: unknown[] = []
    const hub = new Hub(() => log, { windowCount: 1, events: { failed: (...what) => failed.push(what) } })
    const app = createApp({ hub })
    const [first] = await hub.publish([1, 2, 3].map((i) => ({ topic: 'a', data: `${i}` })))
    const { read } = log
    const cause = new Error('disk on fire')
    log.read = () => Promise.reject(cause)
    for (let i = 0; i < 3; i++) {
      const answer = await request(app, first!.id)
      expect([answer.status, await answer.json()]).toEqual([503, expect.objectContaining({ code: 'log_unusable' })])
    }
    await expect(hub.check()).rejects.toMatchObject({ code: 'log_unusable', cause })
    log.read = read
    await expect(hub.check()).rejects.toMatchObject({ code: 'log_unusable', cause }) // the log failed a moment ago
    expect(failed).toEqual([['Cannot read the log', cause]])
    expect(await (await request(app, first!.id)).json()).toMatchObject({ events: [{ data: '2' }, { data: '3' }] })
  })

  test('is refused when the hub ends it before it has a position', async () => {
    const log = memoryLog()
    const hub = new Hub(() => log, { windowCount: 1 })
    const app = createApp({ hub })
    const [first] = await hub.publish([1, 2, 3].map((i) => ({ topic: 'a', data: `${i}` })))
    const { read } = log
    log.read = (...asked) => {
      for (const reader of readers) reader.finish('shutdown', 1000, true)
      return read(...asked)
    }
    const readers: Subscription[] = []
    const { subscribe } = hub
    hub.subscribe = async (...given) => {
      const subscription = await subscribe.apply(hub, given)
      if (subscription) readers.push(subscription)
      return subscription
    }
    const answer = await request(app, first!.id)
    expect([answer.status, await answer.json()]).toEqual([503, expect.objectContaining({ code: 'overloaded' })])
  })
})
