import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { envOf } from '../../src/routes/connection.ts'
import { part } from '../part.ts'
import { hurried } from '../server/preloaded.ts'
import { bun, deno, node, worker } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'
import { over, withoutServer } from '../server/ways.ts'
import { limitsSuite } from './limits.suite.ts'

const inProcess = withoutServer(envOf({ address: '192.0.2.1' }))

for (const way of part([inProcess, over(node)], [bun, deno, worker].map(over))) limitsSuite(way)

test.each(part([node], []))(
  'over $name, a streamed body outlives the request timeout of the runtime, a body that no route reads does not',
  async () => {
    const { port } = await start({ BODY_TIMEOUT: '100ms', ...hurried(20) }) // Node's own limit is 10 s more, here half a second
    const began = performance.now()
    const head = (path: string, type: string) =>
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`
    const piece = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
    const streamed = connection(port, head('/send?topic=a', 'application/x-ndjson'))
    const unread = connection(port, head('/nowhere', 'text/plain'))
    const line = piece('{"data":"x"}\n')
    while (!unread.isClosed() || performance.now() - began < 1500) {
      streamed.socket.write(line)
      unread.socket.write(line)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    streamed.socket.write(`${line}0\r\n\r\n`)
    await expect.poll(streamed.received).toMatch(/^HTTP\/1.1 200 [\s\S]*"taken":[23]\d,/)
    await cleanUp()
  },
)

function connection(port: number, sent: string) {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  let isClosed = false
  socket.setEncoding('utf8').on('data', (text) => {
    received += text
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    isClosed = true
  })
  socket.write(sent)
  return { socket, received: () => received, isClosed: () => isClosed }
}
