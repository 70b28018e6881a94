import { connect } from 'node:net'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node, portable } from '../server/runtimes.ts'
import { cleanUp, start } from '../server/server.ts'

/** The last chunk of a chunked body, of no bytes (RFC 9112, 7.1). */
const LAST_CHUNK = '0\r\n\r\n'

afterEach(cleanUp)

const all = part([node, portable.node], [bun, deno, portable.bun, portable.deno])

test.each(all)(
  'over $name, a stream is chunked, each chunk holds whole frames, and kill -9 leaves no last chunk',
  async (runtime) => {
    const { url, port, kill } = await start({}, runtime)
    const reader = read(port, 'GET /event?topic=a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    await expect.poll(() => reader.body).toContain('event: hub.open')
    expect(reader.head.match(/^transfer-encoding: .*$/gim)?.map((line) => line.toLowerCase())).toEqual([
      'transfer-encoding: chunked',
    ])
    const data = ['1', '\u00e9\ud83d\ude00', 'two\nlines', '', 'x'.repeat(50_000)]
    for (const one of data) await publish(url, one)
    await publish(url, ...data)
    await expect.poll(() => reader.body).toMatch(/^id: .*-10$/m)
    await kill('SIGKILL')
    await expect.poll(() => reader.ended).toBe(true)
    const { chunks, rest } = parse(reader.body)
    expect(chunks.filter((chunk) => !chunk.endsWith('\n\n'))).toEqual([])
    expect(chunks.join('').match(/^id: /gm)).toHaveLength(11)
    expect(rest).toBe('')
  },
)

test.each(all)(
  'over $name, a stream that the hub ends has a last chunk; on HTTP/1.0 it has no framing; both connections end',
  async (runtime) => {
    const { url, port, readers, child } = await start({}, runtime)
    const head = 'HEAD /event?topic=a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' // leaves the connection to the next request
    const framed = read(port, `${head}GET /event?topic=a HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`)
    const unframed = read(port, 'GET /event?topic=a HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n')
    await expect.poll(readers).toBe(2)
    await publish(url, 'x')
    for (const { text } of [framed, unframed]) await expect.poll(() => text()).toContain('data: x')
    child.kill('SIGTERM')
    for (const reader of [framed, unframed]) await expect.poll(() => reader.ended).toBe(true)

    const [ofHead, ofGet, ...more] = framed.text().split(/(?=HTTP\/1\.1 200 )/)
    expect(more).toEqual([])
    expect(ofHead).toMatch(/\r\n\r\n$/)
    const { chunks, rest } = parse(bodyOf(ofGet!))
    expect(chunks.at(-1)).toMatch(/event: hub\.ending\ndata: \{\}\nretry: \d+\n\n$/)
    expect(rest).toBe(LAST_CHUNK)
    expect(unframed.head).not.toMatch(/^transfer-encoding:/im)
    expect(unframed.body).toMatch(
      /^:\nretry: 3000\nevent: hub\.open\n[\s\S]*\n\ndata: x\nid: .*-1\n\n[\s\S]*retry: \d+\n+$/,
    )
  },
)

// Hono's `streamSSE` has no way to break its body off. So over Bun and Deno with CARRIER=stream this end is like any other.
test.each(part([node, portable.node], [bun, deno]))(
  'over $name, a reader that is disconnected because it does not read gets no last chunk',
  async (runtime) => {
    const { url, port, readers } = await start({ STALL: '200ms', WINDOW_BYTES: '32MiB' }, runtime)
    const reader = read(port, 'GET /event?topic=a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    await expect.poll(readers).toBe(1)
    reader.socket.pause()
    const batch = Array.from({ length: 20 }, () => 'x'.repeat(50_000))
    for (let i = 0; i < 20; i++) for (const one of batch) await publish(url, one) // more than the kernel buffers
    await expect.poll(readers).toBe(0)
    reader.socket.resume()
    await expect.poll(() => reader.ended).toBe(true)
    expect(reader.body.slice(-20)).not.toContain(LAST_CHUNK)
  },
)

/** Sends a request over a bare socket, and collects the answer. */
function read(port: number, request: string) {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const bytes: Buffer[] = []
  let hasEnded = false
  socket.write(request)
  socket.on('data', (data) => void bytes.push(data as Buffer))
  socket.on('error', () => {}) // `close` follows
  socket.on('close', () => {
    hasEnded = true
  })
  return {
    socket,
    /** What has arrived, in latin1, so that one character is one byte. */
    text: () => Buffer.concat(bytes).toString('latin1'),
    get head() {
      return headOf(this.text())
    },
    get body() {
      return bodyOf(this.text())
    },
    get ended() {
      return hasEnded
    },
  }
}

const headOf = (answer: string) => answer.split('\r\n\r\n', 1)[0]!
const bodyOf = (answer: string) => answer.slice(headOf(answer).length + 4)

/** Parses the chunks of a body strictly. `rest` are the bytes after the last chunk that has bytes. */
function parse(body: string): { chunks: string[]; rest: string } {
  const chunks: string[] = []
  let rest = body
  for (;;) {
    const [line, digits] = /^([\da-f]+)\r\n/i.exec(rest) ?? []
    const size = Number.parseInt(digits ?? '0', 16)
    if (!line || size === 0) return { chunks, rest }
    const end = line.length + size
    expect(rest.slice(end, end + 2)).toBe('\r\n')
    chunks.push(rest.slice(line.length, end))
    rest = rest.slice(end + 2)
  }
}

async function publish(url: string, ...data: string[]): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify(data.map((one) => ({ topic: 'a', data: one })))
  expect((await fetch(`${url}/send`, { method: 'POST', headers, body })).status).toBe(200)
}
