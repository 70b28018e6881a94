import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { hurried } from '../server/preloaded.ts'
import { node } from '../server/runtimes.ts'
import { cleanUp, fdsOf, start, withoutProc } from '../server/server.ts'
import { request, Stream } from '../server/stream.ts'

const TIMES = 20
/** Node's server closes a silent connection after the time for a body and 20 s more, here this many times sooner. */
const BODY_MS = 5000
const MAX_SILENCE_MS = (BODY_MS + 20_000) / TIMES
/** The number of requests, each for 1.7 MB. The kernel buffers less than half of all answers. */
const ASKS = 10

afterAll(cleanUp)

test.skipIf(withoutProc)(
  'over Node, a client that does not read its answers is disconnected; a silent stream is not',
  async () => {
    const { port, serves } = await start(
      { LOG: 'memory:', BODY_TIMEOUT: `${BODY_MS}ms`, HEARTBEAT: '5m', ...hurried(TIMES) },
      node,
    )
    const silent = new Stream(port, '/event?topic=a')
    onTestFinished(() => void silent.socket.destroy())
    await silent.until(() => silent.status === 200)
    const before = fdsOf(serves)
    const sent = request('GET', '/docs/swagger-ui-bundle.js').repeat(ASKS)
    const unread = new Stream(port, '', { sent })
    unread.socket.pause()
    onTestFinished(() => void unread.socket.destroy())
    await expect.poll(() => fdsOf(serves)).toBeGreaterThan(before)
    await pause(BODY_MS / TIMES)
    expect(fdsOf(serves)).toBeGreaterThan(before)
    // While data waits to be written, Node lets the timeout pass twice.
    await expect.poll(() => fdsOf(serves), { timeout: 10_000 }).toBe(before)
    await pause(2 * MAX_SILENCE_MS)
    expect(silent.closed).toBeFalsy()
  },
)
