import { once } from 'node:events'
import { connect } from 'node:net'
import { DefaultChatTransport, readUIMessageStream, type UIMessage } from 'ai'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node, portable, worker } from '../server/runtimes.ts'
import { cleanUp, type Server, start } from '../server/server.ts'

// Streams with control=false, read by packages that are blind to event names. However a stream ends, they either have the whole of it, or
// raise an error.

afterEach(cleanUp)

/** Each reads a stream to its end and resolves with its text. `path` begins with the hub's path. */
const packages: Record<string, (origin: string, path: string) => Promise<string>> = {
  async 'eventsource-parser'(origin, path) {
    const answer = await fetch(origin + path)
    if (!answer.ok) throw new Error(`${answer.status}`)
    const events = answer.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
    let text = ''
    for await (const { data } of events) if (data !== '[DONE]') text += (JSON.parse(data) as Chunk).delta ?? ''
    return text
  },
  async openai(origin, path) {
    const client = new OpenAI({ apiKey: 'none', baseURL: origin, maxRetries: 0 })
    let text = ''
    // The client reads the answer with its `Stream.fromSSEResponse`.
    const chunks = await client.get<AsyncIterable<Chunk>>(path, { stream: true })
    for await (const { delta } of chunks) text += delta ?? ''
    return text
  },
  async ai(origin, path) {
    const transport = new DefaultChatTransport({ prepareReconnectToStreamRequest: () => ({ api: origin + path }) })
    const stream = await transport.reconnectToStream({ chatId: 'chat' })
    let message: UIMessage | undefined
    for await (const now of readUIMessageStream({ stream: stream!, terminateOnError: true })) message = now
    return (message?.parts ?? []).map((part) => (part.type === 'text' ? part.text : '')).join('')
  },
}

/** A chunk of the AI SDK's stream of a message, as far as the packages need it. */
interface Chunk {
  readonly type: string
  readonly delta?: string
}

const beginning = [
  { type: 'start', messageId: 'm' },
  { type: 'text-start', id: 't' },
  { type: 'text-delta', id: 't', delta: 'one ' },
]
const rest = [{ type: 'text-delta', id: 't', delta: 'two' }, { type: 'text-end', id: 't' }, { type: 'finish' }]
const TEXT = 'one two'

const publish = async ({ url }: Server, messages: readonly object[]) => {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${url}/send?topic=ai/1`, { method: 'POST', headers, body: JSON.stringify(messages) })
  expect(answer.status).toBe(200)
}
const say = (server: Server, chunks: readonly object[]) =>
  publish(
    server,
    chunks.map((data) => ({ data })),
  )
const path = '/event?topic=ai/1&control=false&from=earliest'

/** Lets every package read, and says of each what it has read or that it has failed. */
function readAll({ url }: Server, from = path) {
  const reads = Object.entries(packages).map(async ([name, read]) => {
    const text = await read(url, from).catch((cause: unknown) => {
      expect([name, cause]).toEqual([name, expect.any(Error)])
      return undefined
    })
    return [name, text] as const
  })
  return Promise.all(reads).then(Object.fromEntries)
}

const each = (text: string | undefined) => Object.fromEntries(Object.keys(packages).map((name) => [name, text]))

const runtimes = part([node, bun, deno], [worker, portable.node, portable.bun, portable.deno])

describe.each(runtimes)('over $name, a stream without control events', (runtime) => {
  test('is whole for every package if its topic closes, and an error if the hub stops, is killed, or ends it before', async () => {
    const server = await start({}, runtime)
    await say(server, beginning)
    const whole = readAll(server)
    await expect.poll(server.readers).toBe(3)
    await say(server, rest)
    await publish(server, [{ data: '[DONE]', close: true }])
    expect(await whole).toEqual(each(TEXT))
    expect(await readAll(server)).toEqual(each(TEXT)) // from history
    expect(await readAll(server, `${path}&lastEventId=zzzzzzzzzz-1`)).toEqual(each(undefined))

    await fetch(`${server.url}/topics/ai/1`, { method: 'DELETE' })
    await say(server, beginning)
    const drained = readAll(server)
    await expect.poll(server.readers).toBe(3)
    server.kill('SIGTERM')
    expect(await drained).toEqual(each(undefined))
    await server.stopped
  })

  test('is an error for every package at the end of its lifetime, also if nothing more would have been said', async () => {
    const server = await start({ LIFETIME: '1s' }, runtime)
    await say(server, [...beginning, ...rest])
    expect(await readAll(server)).toEqual(each(undefined))
  })

  test('is an error for every package if the hub is killed', async () => {
    const server = await start({}, runtime)
    await say(server, beginning)
    const killed = readAll(server)
    await expect.poll(server.readers).toBe(3)
    server.kill('SIGKILL')
    expect(await killed).toEqual(each(undefined))
  })

  test('is an error for a client that did not read', async ({ skip }) => {
    skip(runtime === worker, "wrangler's proxy reads streams as fast as they come")
    const server = await start({ STALL: '200ms', WINDOW_BYTES: '32MiB', MAX_BODY_BYTES: '2MiB' }, runtime)
    const answer = await fetch(server.url + path)
    await expect.poll(server.readers).toBe(1)
    const batch = Array.from({ length: 20 }, () => ({ data: 'x'.repeat(50_000) }))
    for (let i = 0; i < 20; i++) await publish(server, batch) // more than the kernel buffers
    await expect.poll(server.readers).toBe(0)
    await expect(answer.text()).rejects.toThrow()
  })
})

test('over Node, a broken stream ends in the midst of a chunk; on HTTP/1.0, which has no chunks, by a reset', async () => {
  const server = await start({ LIFETIME: '1s' })
  await say(server, beginning)
  const read = async (version: string) => {
    const socket = connect(server.port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (bytes) => {
      text += bytes
    })
    socket.write(`GET ${path} HTTP/${version}\r\nHost: 127.0.0.1\r\n\r\n`)
    const error = await once(socket, 'close').then(
      () => undefined,
      (cause: NodeJS.ErrnoException) => cause.code,
    )
    return { text, error }
  }
  const [framed, unframed] = await Promise.all([read('1.1'), read('1.0')])
  expect(framed).toEqual({ text: expect.stringMatching(/"delta":"one "[\s\S]*\n\r\n1\r\n$/), error: undefined })
  expect(unframed).toEqual({ text: expect.stringContaining('"delta":"one "'), error: 'ECONNRESET' })
})

test('with control events, a package that is blind to event names fails at once, or takes them for data', async () => {
  const server = await start()
  await say(server, beginning)
  await say(server, rest)
  await publish(server, [{ data: '[DONE]', close: true }])
  const { ai } = await readAll(server, '/event?topic=ai/1&from=earliest')
  expect(ai).toBeUndefined()
})
