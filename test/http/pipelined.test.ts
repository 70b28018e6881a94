import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { node, portable } from '../server/runtimes.ts'
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
    expect(third).toMatch(/content-type: text\/event-stream[\s\S]*\r\n\r\n(\w+\r\n)?:\nretry: /i)
    // A body without framing ends with its connection, and the head says `connection: close`.
    const [head] = third!.split('\r\n\r\n')
    expect(/^connection: close$/im.test(head!)).toBe(!/^transfer-encoding: chunked$/im.test(head!))
    expect(head).not.toMatch(runtime === node ? /keep-alive|chunked/i : /connection: close/i)
    expect(await readers()).toBe(1)
    socket.destroy()
    await expect.poll(readers).toBe(0)
  },
)
