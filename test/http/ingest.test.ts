import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { INSIDE } from '../../src/hub/inside.ts'
import type { Message } from '../../src/log/log.ts'
import { memoryLog } from '../../src/log/memory.ts'
import { envOf } from '../../src/routes/connection.ts'
import { runs } from '../../src/runs/near.ts'
import { SECRET, token } from '../auth/suite.ts'
import { part } from '../part.ts'

const ITEMS = 2000
const COMMIT_MS = 25
/** The number of items in one group. */
const GROUP = 32
/** Messages a second. The first group has more messages, so the next one waits: half a minute for the rate of 1, less than `NEXT_MS` for `RATE`. */
const RATE = 20
const NEXT_MS = 1000
const SLOW_RATE = '1'

interface Sent {
  readonly type?: string
  readonly signal?: AbortSignal
  readonly headers?: Record<string, string>
  readonly address?: string
  readonly query?: string
}

/** A hub with these settings, whose published messages are counted, and a function that sends it a body. */
function open(settings: Record<string, string> = {}, isShort = () => false) {
  const config = parseConfig(settings)
  const hub = new Hub(memoryLog, { ...config.hub, isShort })
  onTestFinished(() => hub.close())
  const published: number[] = []
  const publish = hub.publish.bind(hub)
  hub.publish = ((messages: readonly Message[]) => {
    published.push(messages.length)
    return publish(messages)
  }) as typeof publish
  const app = createApp({ hub, config })
  const send = (
    body: string | Uint8Array<ArrayBuffer> | ReadableStream,
    { type = 'application/x-ndjson', signal, headers, address = '192.0.2.1', query = '' }: Sent = {},
  ) => {
    const init = { method: 'POST', body, headers: { 'content-type': type, ...headers }, duplex: 'half' }
    const request = new Request(`http://localhost/send?topic=a${query}`, { ...init, ...(signal && { signal }) })
    return Promise.resolve(app.fetch(request, envOf({ address })))
  }
  return { hub, app, send, published }
}

/** A body that sends some text and never ends. */
const endless = (text = '') =>
  new ReadableStream({
    start: (controller) => {
      if (text !== '') controller.enqueue(new TextEncoder().encode(text))
    },
  })

const bodies = [
  ['application/x-ndjson', '{"data":"x"}\n'],
  ['text/event-stream', 'data: xxx\n\n'],
  ['text/event-stream', 'data: x\r\n\r\n'],
] as const

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)

test('while the log commits slowly, more and more items of a streamed body go into one commit', async () => {
  const log = memoryLog()
  const append = log.append.bind(log)
  const sizes: number[] = []
  log.append = async (messages) => {
    sizes.push(messages.length)
    await pause(COMMIT_MS)
    return append(messages)
  }
  const hub = new Hub(() => log)
  const body = Array.from({ length: ITEMS }, (_, i) => `{"data":"${i}"}\n`).join('')
  const headers = { 'content-type': 'application/x-ndjson' }
  const response = await createApp({ hub }).request('/send?topic=a', { method: 'POST', body, headers })
  expect(await response.json()).toMatchObject({ taken: ITEMS })
  expect(sizes.slice(0, 4)).toEqual([32, 64, 128, 256])
  expect(sizes.length).toBeLessThanOrEqual(4 + Math.ceil((ITEMS - 480) / 256))
  await hub.close()
})

describe.each(part(bodies.slice(0, 1), bodies.slice(1)))('a streamed body of %s (%j)', (type, item) => {
  test('is parsed one group ahead while it waits for PUBLISH_RATE', async () => {
    const decodes = vi.spyOn(TextDecoder.prototype, 'decode')
    onTestFinished(() => decodes.mockRestore())
    const { send, published } = open({ PUBLISH_RATE: SLOW_RATE })
    const client = new AbortController()
    const sent = send(item.repeat(ITEMS), { type, signal: client.signal })
    await expect.poll(() => published).toEqual([GROUP])
    await pause(100)
    const decoded = decodes.mock.calls.reduce((sum, [bytes]) => sum + (bytes?.byteLength ?? 0), 0)
    expect(decoded).toBeLessThanOrEqual((GROUP + 2 * GROUP) * item.length) // after a slow commit, the next group is twice as long
    client.abort()
    await sent
  })

  test('is published no further after its client has disconnected', async () => {
    const { send, published } = open({ PUBLISH_RATE: `${RATE}` })
    for (const body of [item.repeat(ITEMS), endless(item.repeat(ITEMS))]) {
      published.length = 0
      const client = new AbortController()
      const sent = send(body, { type, signal: client.signal })
      await expect.poll(() => published).not.toEqual([])
      client.abort()
      const answer = await sent
      expect(answer.status).toBe(400)
      const taken = sum(published)
      expect(await answer.json()).toMatchObject({ code: 'body_invalid', taken, lastId: expect.any(String) })
      expect(taken).toBeLessThan(ITEMS)
      await pause(NEXT_MS)
      expect(sum(published)).toBe(taken)
    }
  })

  test('ends at MAX_STREAM_TIME, also while it waits for PUBLISH_RATE; its answer says how much is published', async () => {
    const { published, send } = open({ PUBLISH_RATE: '100', MAX_STREAM_TIME: '200ms' })
    const began = performance.now()
    let left = 300
    const codes: unknown[] = []
    while (left > 0) {
      const answer = await send(item.repeat(left), { type })
      const { code, taken, lastId } = (await answer.json()) as { code?: string; taken: number; lastId: string | null }
      codes.push(answer.status === 200 ? 200 : code)
      expect(taken).toBe(sum(published.splice(0)))
      expect(lastId === null).toBe(taken === 0)
      left -= taken
    }
    expect(codes.length).toBeGreaterThan(5)
    expect(codes.slice(0, -1)).toEqual(Array(codes.length - 1).fill('stream_too_slow'))
    expect(codes.at(-1)).toBe(200)
    expect(performance.now() - began).toBeGreaterThan(200 * (codes.length - 1) - 50)
  })
})

test('a streamed body that is cut off while it waits for PUBLISH_RATE is published no further', async () => {
  const { send, published } = open({ PUBLISH_RATE: SLOW_RATE })
  let cut = () => {}
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"data":"x"}\n'.repeat(ITEMS)))
      cut = () => controller.error(new Error('reset'))
    },
  })
  const sent = send(body)
  await expect.poll(() => published).toEqual([GROUP])
  cut()
  expect(await (await sent).json()).toMatchObject({ code: 'body_invalid', taken: GROUP })
  expect(published).toEqual([GROUP])
})

test('a streamed body whose connection says that the client has closed is published no further', async () => {
  for (const text of ['{"data":"x"}\n'.repeat(ITEMS), `{"data":"${'x'.repeat(2000)}"}\n`.repeat(100)]) {
    const { app, published } = open({ PUBLISH_RATE: SLOW_RATE })
    const watching = new Set<() => void>()
    const whenClosed = (call: () => void) => {
      watching.add(call)
      return () => watching.delete(call)
    }
    const init = { method: 'POST', body: text, headers: { 'content-type': 'application/x-ndjson' } }
    const sent = app.request('/send?topic=a', init, envOf({ address: '192.0.2.1', whenClosed }))
    await expect.poll(() => [published, watching.size]).toEqual([[GROUP], 1])
    for (const call of watching) call()
    expect(await (await sent).json()).toMatchObject({ code: 'body_invalid', taken: GROUP })
    expect([published, watching.size]).toEqual([[GROUP], 0])
  }
})

test('a streamed body is read 64 KiB ahead, and no further', async () => {
  const { send, published } = open({ PUBLISH_RATE: SLOW_RATE })
  const chunk = new TextEncoder().encode('{"data":"x"}\n'.repeat(100))
  let pulled = 0
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulled += chunk.byteLength
        controller.enqueue(chunk.slice())
      },
    },
    { highWaterMark: 0 },
  )
  const client = new AbortController()
  const sent = send(body, { signal: client.signal })
  await expect.poll(() => published).toEqual([GROUP])
  await pause(100)
  expect(pulled).toBeGreaterThan(64 * 1024)
  expect(pulled).toBeLessThan(64 * 1024 + 3 * chunk.byteLength)
  client.abort()
  await sent
})

test('a streamed body of many lines without items shares the turns of the event loop', async () => {
  const { send } = open()
  let turns = 0
  const count = () => {
    turns++
    counting = setImmediate(count)
  }
  let counting = setImmediate(count)
  const answer = await send(' \n'.repeat(1_000_000))
  clearImmediate(counting)
  expect(await answer.json()).toMatchObject({ taken: 0 })
  expect(turns).toBeGreaterThan(20)
})

test('streamed bodies of one address that wait for PUBLISH_RATE wait in line: only the first looks into the bucket', async () => {
  const { hub, send, published } = open({ PUBLISH_RATE: `${20 * GROUP}`, TRUSTED_PROXIES: '10.0.0.0/8' })
  const takes: string[] = []
  hub[INSIDE].take = async (bucket) => {
    takes.push(bucket)
    return takes.length % 3 === 0 ? undefined : 10 // ms to wait
  }
  const answers = await Promise.all(Array.from({ length: 50 }, () => send('{"data":"x"}\n'.repeat(GROUP))))
  for (const { status } of answers) expect(status).toBe(200)
  expect(published).toHaveLength(50)
  expect(takes.length).toBeLessThanOrEqual(3 * 50 + 50)
})

test('a streamed body that leaves the line lets the next one in, in order', async () => {
  const { hub, send, published } = open({ PUBLISH_RATE: `${GROUP}` })
  let isFull = true
  hub[INSIDE].take = async () => (isFull ? 10 : undefined) // ms to wait
  const clients = Array.from({ length: 5 }, () => new AbortController())
  const group = (n: number) => `{"data":"${n}"}\n`.repeat(GROUP)
  const sent = clients.map(({ signal }, i) => send(group(i), { signal }))
  await pause(50)
  for (const i of [0, 1, 3]) clients[i]!.abort()
  const refused = await Promise.all([sent[0]!, sent[1]!, sent[3]!])
  expect(refused.map(({ status }) => status)).toEqual([400, 400, 400])
  isFull = false
  const answers = await Promise.all([sent[2]!, sent[4]!])
  expect(answers.map(({ status }) => status)).toEqual([200, 200])
  expect(published).toEqual([GROUP, GROUP])
})

describe('streamed bodies at the same time', () => {
  /** Opens bodies that last until the test ends. */
  const hold = async ({ send, published }: ReturnType<typeof open>, count: number, sent: Sent = {}) => {
    const client = new AbortController()
    onTestFinished(() => client.abort())
    const before = sum(published)
    const answers = Array.from({ length: count }, () =>
      send(endless('{"data":"x"}\n'), { ...sent, signal: client.signal }),
    )
    await expect.poll(() => sum(published)).toBe(before + count)
    return { answers, end: () => client.abort() }
  }
  const refusal = {
    code: 'too_many_bodies',
    taken: 0,
    lastId: null,
    detail: expect.stringMatching(/^Cannot read another streamed body: \d are open/),
  }

  test('are bounded by MAX_STREAMED_BODIES; other publishes go on, and after one ends the next is read', async () => {
    const opened = open({ MAX_STREAMED_BODIES: '3' })
    const { send } = opened
    await send('{"data":"x"}\n')
    const { end } = await hold(opened, 3)
    const refused = await send('{"data":"x"}\n', { address: '192.0.2.2' })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '5'])
    expect(await refused.json()).toMatchObject(refusal)
    expect((await send('plain', { type: 'text/plain' })).status).toBe(200)
    end()
    await expect.poll(async () => (await send('{"data":"x"}\n')).status).toBe(200)
  })

  test('are bounded by MAX_STREAMED_BODIES_PER_ADDRESS', async () => {
    const opened = open({ MAX_STREAMED_BODIES_PER_ADDRESS: '2' })
    const { send } = opened
    await send('{"data":"x"}\n')
    const { end } = await hold(opened, 2)
    expect(await (await send('{"data":"x"}\n')).json()).toMatchObject(refusal)
    expect((await send('{"data":"x"}\n', { address: '192.0.2.2' })).status).toBe(200)
    end()
    await expect.poll(async () => (await send('{"data":"x"}\n')).status).toBe(200)
  })

  test('are bounded by MAX_STREAMED_BODIES_PER_TOKEN, for token subjects and API keys', async () => {
    const key = 'a-key-of-this-test'
    const opened = open({
      MAX_STREAMED_BODIES_PER_TOKEN: '2',
      AUTH_SECRET: SECRET,
      API_KEYS: `ann:${createHash('sha256').update(key).digest('hex')}:a:`,
    })
    const { send } = opened
    const claims = { publish: ['a'] }
    const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } })
    const ann = [bearer(await token(claims, { sub: 'ann' })), bearer(await token(claims, { sub: 'ann', jti: '2' }))]
    const others = [bearer(await token(claims, { sub: 'bob' })), bearer(key)]
    await send('{"data":"x"}\n', ann[0])
    const { end } = await hold(opened, 2, ann[0])
    for (const one of ann) expect(await (await send('{"data":"x"}\n', one)).json()).toMatchObject(refusal)
    for (const other of others) expect((await send('{"data":"x"}\n', other)).status).toBe(200)
    end()
    await expect.poll(async () => (await send('{"data":"x"}\n', ann[0])).status).toBe(200)
  })

  test('are not counted if they are refused, if they are complete, or if their client may not publish', async () => {
    const opened = open({ MAX_STREAMED_BODIES: '1', AUTH_SECRET: SECRET })
    const { send } = opened
    const headers = { authorization: `Bearer ${await token({ publish: ['a'] }, { iss: undefined, aud: undefined })}` }
    for (const [body, status, more] of [
      ['{"data":"x"}\n', 200, { headers }],
      ['no JSON\n', 400, { headers }],
      ['{"data":"x"}\n', 401, {}],
      ['', 200, { headers }],
    ] as const)
      expect((await send(body, more)).status).toBe(status)
    const { answers, end } = await hold(opened, 1, { headers })
    expect((await send('{"data":"x"}\n')).status).toBe(401)
    expect((await send('{"data":"x"}\n', { headers })).status).toBe(429)
    end()
    expect((await answers[0]!).status).toBe(400)
    expect((await send('{"data":"x"}\n', { headers })).status).toBe(200)
  })

  test('are refused while memory is short; other publishes are not', async () => {
    let isShort = true
    const { send } = open({}, () => isShort)
    const refused = await send('{"data":"x"}\n')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await refused.json()).toMatchObject({ code: 'overloaded', taken: 0 })
    expect((await send('plain', { type: 'text/plain' })).status).toBe(200)
    isShort = false
    expect((await send('{"data":"x"}\n')).status).toBe(200)
  })

  test('that are refused claim no run', async () => {
    const { hub, send } = open({}, () => true)
    const refused = await send('{"data":"x"}\n', { query: '&run=15s' })
    expect(await refused.json()).toMatchObject({ code: 'overloaded', taken: 0, lastId: null })
    expect(await runs(hub).state('a')).toBeUndefined()
  })

  test('are refused while the hub drains, and those under way continue', async () => {
    const { hub, send, published } = open()
    const { readable, writable } = new TransformStream<Uint8Array>()
    const writer = writable.getWriter()
    const underWay = send(readable)
    const write = () => writer.write(new TextEncoder().encode('{"data":"x"}\n'))
    void write()
    await expect.poll(() => sum(published)).toBe(1)
    hub.drain()
    for (const [type, text] of bodies) {
      const refused = await send(text, { type })
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
      expect(await refused.json()).toMatchObject({ code: 'draining', taken: 0, lastId: null })
    }
    await write()
    await writer.close()
    expect(await (await underWay).json()).toMatchObject({ taken: 2 })
    expect((await send('plain', { type: 'text/plain' })).status).toBe(200)
  })
})
