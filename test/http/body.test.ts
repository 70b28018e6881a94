import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { servers } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

// Not over workerd: wrangler stands in front of workerd and reads the requests itself.

afterEach(cleanUp)

test.each(servers)('over $name, a request is read in two pieces, cut at any byte', async (runtime) => {
  const { port } = await start({}, runtime)
  const stream = new Stream(port, '/event?topic=a')
  await stream.until(() => stream.reader.text.includes('hub.open'))
  const size = request(0).length
  for (let cut = 1; cut <= size; cut++) {
    const asked = new Stream(port, '', { sent: request(cut).subarray(0, cut) })
    asked.socket.setNoDelay()
    await pause(2)
    asked.socket.write(request(cut).subarray(cut))
    await asked.until(() => asked.status > 0)
    asked.socket.destroy()
    expect(asked.status, `cut at ${cut}`).toBe(200)
  }
  await stream.until(() => stream.reader.text.includes(`data: grün ${1000 + size}\n`))
  const data = stream.reader.text.match(/(?<=^data: )grün .*/gm)
  expect(data).toEqual(Array.from({ length: size }, (_, i) => `grün ${1001 + i}`))
  stream.socket.destroy()
})

/** A request, of the same length for every n. */
function request(n: number): Buffer {
  const body = JSON.stringify({ data: `grün ${1000 + n}` })
  const head = [
    'POST /send?topic=a HTTP/1.1',
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}
