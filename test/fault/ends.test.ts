import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node } from '../server/runtimes.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

afterEach(cleanUp)

const ends = ({ output }: Server) =>
  output
    .split('\n')
    .filter((line) => line.includes('"end"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const publish = ({ url }: Server, message: object) =>
  fetch(`${url}/send?topic=a`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(message),
  })

describe.each(part([node], [bun, deno]))('a hub on $name', (runtime) => {
  test('logs a line at the end of each stream: who, topics, duration, events, bytes and the reason', async () => {
    const server = await start({ LOG: `sqlite:${join(folder(), 'hub.db')}`, REQUEST_LOG: 'all' }, runtime)
    const gone = new Stream(server.port, '/event?topic=a&topic=b/*')
    await gone.until(() => gone.reader.events.length === 1)
    const complete = new Stream(server.port, '/event?topic=a')
    await complete.until(() => complete.reader.events.length === 1)
    const stopped = new Stream(server.port, '/event?topic=other')
    await stopped.until(() => stopped.reader.events.length === 1)
    await publish(server, { data: 'one' })
    await gone.until(() => gone.reader.data.length === 1)
    gone.socket.destroy()
    await server.says(/"end":"gone"/)
    await publish(server, { data: 'two', close: true })
    await server.says(/"end":"complete"/)
    const poll = await fetch(`${server.url}/event?topic=quiet`, { headers: { accept: 'application/json' } })
    await poll.text()
    await server.says(/"end":"answered"/)
    expect(await server.kill('SIGTERM')).toBe(0)

    const line = {
      level: 'info',
      stream: expect.stringMatching(/^[0-9a-f]{8}$/),
      who: '127.0.0.1',
      ms: expect.any(Number),
    }
    expect(ends(server)).toEqual([
      expect.objectContaining({
        ...line,
        end: 'gone',
        topics: 2,
        events: 1,
        bytes: Buffer.byteLength(gone.reader.text),
      }),
      expect.objectContaining({ ...line, end: 'complete', topics: 1, events: 2 }),
      expect.objectContaining({ ...line, end: 'answered', events: 0 }),
      expect.objectContaining({ ...line, end: 'shutdown', events: 0 }),
    ])
  })

  test('logs no ordinary end with REQUEST_LOG=refused', async () => {
    const server = await start({ LIFETIME: '1s' }, runtime)
    const stream = new Stream(server.port, '/event?topic=a')
    await stream.until(() => stream.reader.retries.length === 2)
    stream.socket.destroy()
    await server.kill('SIGTERM')
    expect(ends(server)).toEqual([])
  })
})
