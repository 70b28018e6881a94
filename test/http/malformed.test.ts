import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cleanUp, type Server, start } from '../server/server.ts'

let server: Server

beforeAll(async () => {
  server = await start({ BODY_TIMEOUT: '100ms' })
})
afterAll(cleanUp)

/** A request whose body has begun. */
const unfinished = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`
const whole = 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'
/** No head of a chunk, and no request line. */
const malformed = 'zz\r\n\r\n'

/** Sends malformed bytes after the answer to a request, and returns the statuses of all answers once the server has closed the connection. */
function statusesOf(request: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let answers = ''
    let isSent = false
    const socket = connect(server.port, '127.0.0.1', () => socket.write(request))
    socket.setEncoding('latin1').on('data', (text: string) => {
      answers += text
      if (!isSent) socket.write(malformed)
      isSent = true
    })
    socket.once('error', reject)
    socket.once('close', () => resolve([...answers.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status!)))
  })
}

test.for([
  ['/send?topic=a', '408'],
  ['/none', '404'],
] as const)(
  'a request that is answered before its body has ended gets one answer, and malformed bytes of that body close the connection (%s)',
  async ([path, status]) => {
    expect(await statusesOf(unfinished(path))).toEqual([status])
  },
)

test('malformed bytes after a whole request are answered 400', async () => {
  expect(await statusesOf(whole)).toEqual(['200', '400'])
})
