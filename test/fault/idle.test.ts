import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { runs } from '../seed.ts'
import { bun, runtimes } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

/** Bun ends a silent connection after its idle timeout of 10 s, which it checks every 4 s. */
const SILENT_MS = runs(14_000, 60_000)
const FIRST_BYTES_MS = 500

afterEach(cleanUp)

test(`silent streams stay open for more than ${SILENT_MS} ms; on Bun an idle connection without a stream does not`, {
  timeout: SILENT_MS + 30_000,
}, async () => {
  const streams = await Promise.all(
    runtimes.map(async (runtime) => {
      const server = await start({ HEARTBEAT: '1h', LIFETIME: '1h' }, runtime)
      await server.readers()
      const began = performance.now()
      const stream = new Stream(server.port, '/event?topic=quiet')
      await stream.until(() => stream.reader.events.length > 0)
      const firstMs = Math.round(performance.now() - began)
      return { runtime, server, stream, firstMs, text: stream.reader.text }
    }),
  )
  console.log(
    `first bytes after ${streams.map(({ runtime, firstMs }) => `${firstMs} ms on ${runtime.name}`).join(', ')}`,
  )
  const { server } = streams.find(({ runtime }) => runtime === bun)!
  const idle = connect(server.port, '127.0.0.1')
  idle.write('GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
  await once(idle, 'data')
  const began = performance.now()
  await once(idle, 'close')
  const idleMs = Math.round(performance.now() - began)
  console.log(`Bun closes an idle keep-alive connection after ${idleMs} ms`)
  expect(idleMs).toBeGreaterThan(5000)
  expect(idleMs).toBeLessThan(SILENT_MS)
  await pause(SILENT_MS - idleMs)
  for (const { runtime, server, stream, firstMs, text } of streams) {
    expect.soft(firstMs, runtime.name).toBeLessThan(FIRST_BYTES_MS)
    expect.soft(stream.closed, runtime.name).toBe(false)
    expect.soft(stream.reader.text, `${runtime.name}: nothing was said`).toBe(text)
    await fetch(`${server.url}/send?topic=quiet`, { method: 'POST', body: 'still there?' })
    await stream.reader.gets('still there?')
  }
})
