import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { bun, deno, node, portable } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'
import { request } from '../server/stream.ts'

afterEach(cleanUp)

test.each([node, portable.node])(
  'over $name, a stream requested after other requests on one connection follows their answers',
  async (runtime) => {
    const { port, readers } = await start({}, runtime)
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (part) => {
      text += part
    })
    const post =
      'POST /send?topic=a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n'
    socket.write(`${post}1\n${post}2\n${request('GET', '/event?topic=a&last=1')}`)
    await expect.poll(() => text).toContain('event: hub.open')
    await fetch(`http://127.0.0.1:${port}/send?topic=a`, {
      method: 'POST',
      body: '{"data":"3"}',
      headers: { 'content-type': 'application/json' },
    })
    await expect.poll(() => text).toContain('data: 3')
    const [first, second, third] = text.split('HTTP/1.1 200 OK').slice(1)
    expect([first, second].map((answer) => answer!.includes('"durability":"memory"'))).toEqual([true, true])
    expect(third).toMatch(/content-type: text\/event-stream[\s\S]*\r\n\r\n\w+\r\n:\nretry: /i)
    const [head] = third!.split('\r\n\r\n')
    expect(head).toMatch(/^transfer-encoding: chunked$/im)
    expect(/^connection: close$/im.test(head!)).toBe(runtime === node)
    expect(/keep-alive/i.test(head!)).toBe(runtime !== node)
    expect(await readers()).toBe(1)
    socket.destroy()
    await expect.poll(readers).toBe(0)
  },
)

/** What the guide's table of runtimes says of them. */
describe.each([
  { runtime: node, upgrade: ['200'], pipelined: ['200', '200'] },
  { runtime: bun, upgrade: ['200'], pipelined: [] },
  { runtime: deno, upgrade: ['400'], pipelined: ['200', '200'] },
])('over $runtime.name', ({ runtime, upgrade, pipelined }) => {
  const head = 'POST /send?topic=a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n'
  const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'

  test(`a body with Upgrade: h2c gets ${upgrade}, and pipelined bodies get ${pipelined.join(' and ') || 'no answer'}`, async () => {
    const { port } = await start({}, runtime)
    for (const [sent, statuses] of [
      [`${head}${h2c}\r\nx`, upgrade],
      [`${head}\r\nx${head}Connection: close\r\n\r\nx`, pipelined],
    ] as const) {
      const socket = connect(port, '127.0.0.1', () => socket.write(sent))
      let text = ''
      socket.on('error', () => {}) // `close` follows
      socket.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      const found = () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
      await expect.poll(() => socket.destroyed || (found().length > 0 && found().length === statuses.length)).toBe(true)
      expect(found()).toEqual(statuses)
      socket.destroy()
    }
  })
})
