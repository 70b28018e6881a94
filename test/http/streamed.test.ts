import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { servers } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

// Not over workerd: wrangler stands in front of workerd and reads the requests itself.

const MIB = 1024 ** 2
/** More bytes than all buffers on the way can hold. */
const ENOUGH = 64 * MIB
const LINE = `{"data":"${'x'.repeat(1000)}"}\n`

afterEach(cleanUp)

test.each(servers)(
  'over $name, a sender above PUBLISH_RATE has to wait; its body is not buffered in memory',
  async (runtime) => {
    const { port } = await start({ PUBLISH_RATE: '5' }, runtime)
    const body = LINE.repeat(ENOUGH / LINE.length)
    const { socket } = new Stream(port, '', { sent: head(body.length) + body })
    onTestFinished(() => void socket.destroy())
    await pause(1000)
    expect(socket.writableLength).toBeGreaterThan(ENOUGH / 2)
  },
)

test.each(servers)('over $name, after a refused item the rest is skipped or the connection closes', async (runtime) => {
  const { port } = await start({}, runtime)
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let said = ''
  socket.on('error', () => {}) // the server may close the connection before it has read everything
  socket.setEncoding('utf8').on('data', (part) => {
    said += part
  })
  const bad = 'no JSON\n'
  const rest = LINE.repeat(300) // several reads of a socket
  socket.write(head(bad.length + rest.length) + bad)
  await expect.poll(() => said).toMatch(/^HTTP\/1\.1 400 /)
  socket.write(`${rest}GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
  if (/^connection: close\r$/im.test(said)) await expect.poll(() => socket.readableEnded).toBe(true)
  else await expect.poll(() => said).toContain('HTTP/1.1 200 ')
})

function head(length: number): string {
  return `POST /send?topic=a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${length}\r\n\r\n`
}
