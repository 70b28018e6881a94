import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { node } from '../server/runtimes.ts'
import { cleanUp, fdsOf, start, withoutProc } from '../server/server.ts'
import { request, Stream } from '../server/stream.ts'

/** The longest silence that Node's server bears is that of a body, and 20 s. */
const BODY_MS = 1000
const MAX_SILENCE_MS = BODY_MS + 20_000
/** Where something waits to be written, Node bears it twice. */
const LATE_MS = MAX_SILENCE_MS + 10_000
/** Of 1.7 MB each, of which the kernel takes less than half. */
const ASKS = 10

afterAll(cleanUp)

test.skipIf(withoutProc)(
  'over Node, who asks for much and does not read it is cut off; a stream that is silent is not',
  async () => {
    const { port, serves } = await start({ LOG: 'memory:', BODY_TIMEOUT: `${BODY_MS}ms`, HEARTBEAT: '5m' }, node)
    const silent = new Stream(port, '/event?topic=a')
    onTestFinished(() => void silent.socket.destroy())
    await silent.until(() => silent.status === 200)
    const before = fdsOf(serves)
    const sent = request('GET', '/docs/swagger-ui-bundle.js').repeat(ASKS)
    const unread = new Stream(port, '', { sent })
    unread.socket.pause()
    onTestFinished(() => void unread.socket.destroy())
    await expect.poll(() => fdsOf(serves)).toBeGreaterThan(before)
    await pause(BODY_MS)
    expect(fdsOf(serves)).toBeGreaterThan(before)
    await expect.poll(() => fdsOf(serves), { timeout: MAX_SILENCE_MS + LATE_MS, interval: 100 }).toBe(before)
    expect(silent.closed).toBeFalsy()
  },
  90_000,
)
