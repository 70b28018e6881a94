import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { EventSource } from 'eventsource'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { median } from '../bench/quantile.ts'
import { Reader } from '../reader.ts'
import { textOf } from '../recipes/guide.ts'
import { proxies, type Running } from '../server/proxies.ts'
import { cleanUp, folder, freePort, type Server, start } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

/** No heartbeat comes while a test runs: nothing but the proxy itself passes an event on. */
const SILENT = { HEARTBEAT: '1h', LIFETIME: '1h', RETRY: '500ms' }
const READERS = 8
/** Streams whose first bytes are timed. */
const STREAMS = 5
const EVENTS = 21
/**
 * More than what a proxy adds that passes bytes on at once, to the median, even on a slow machine. Linux adds 200 ms to what a sender says
 * is not all (MSG_MORE), as HAProxy does without `http-no-delay`.
 */
const MOST_ADDED_MS = 100

const HEAD = `| proxy | first bytes; an event, the slowest of ${EVENTS} | bodies that stream in | kill -9 and SIGTERM of the hub | a reader that has gone |
|---|---|---|---|---|
`
/** What was found for each proxy, one text for each column of the table. */
const found = new Map<string, string[]>(proxies.map(({ name }) => [name, []]))

const rowOf = ({ name, version, missing }: (typeof proxies)[number]) =>
  `| ${name} ${version} | ${missing || found.get(name)!.join(' | ')} |`

afterAll(() => console.log(HEAD + proxies.map(rowOf).join('\n')))

/** Reads a stream of the topic `a`, which may come compressed, and notes when its first bytes and each of its events arrive. */
async function timed(url: string) {
  const abort = new AbortController()
  onTestFinished(() => abort.abort())
  const began = performance.now()
  const stream = await fetch(`${url}/event?topic=a`, {
    headers: { accept: 'text/event-stream', 'accept-encoding': 'gzip' },
    signal: abort.signal,
  })
  expect([stream.status, stream.headers.get('content-encoding')]).toEqual([200, null])
  const reader = new Reader()
  const arrivals: number[] = []
  let firstMs: number | undefined
  const noted = async function* () {
    for await (const bytes of stream.body as unknown as AsyncIterable<Uint8Array>) {
      const now = performance.now()
      firstMs ??= now - began
      yield bytes // the reader parses them
      while (arrivals.length < reader.events.length) arrivals.push(now)
    }
  }
  reader.follow(noted())
  await expect.poll(() => arrivals.length).toBe(1) // hub.open
  return { reader, arrivals, firstMs: firstMs! }
}

describe.each(proxies)('behind $name', ({ name, missing, start: startProxy }) => {
  const results = found.get(name)!
  let env: Record<string, string>
  let hub: Server
  let proxy: Running

  beforeAll(async () => {
    if (missing) return
    env = { PORT: `${await freePort()}`, LOG: `sqlite:${folder()}/hub.db`, ...SILENT }
    hub = await start(env)
    proxy = await startProxy([hub.port])
  })
  beforeEach(({ skip }) => skip(missing !== '', missing))
  afterAll(async () => {
    await proxy?.stop()
    await cleanUp()
  })

  const publish = async (topic: string, data: string) => {
    const response = await fetch(`${proxy.url}/send?topic=${topic}`, { method: 'POST', body: data })
    expect(response.status).toBe(200)
  }

  test('the first bytes and every event arrive when they arrive from the hub itself, with compression on', async () => {
    const page = await fetch(`${proxy.url}/app.js`, { headers: { 'accept-encoding': 'gzip' } })
    expect([page.status, page.headers.get('content-encoding')]).toEqual([200, 'gzip'])
    await page.text()
    const [direct, behind] = [[await timed(hub.url)], [await timed(proxy.url)]]
    while (behind.length < STREAMS) {
      direct.push(await timed(hub.url))
      behind.push(await timed(proxy.url))
    }
    const added = behind.map(({ firstMs }, i) => firstMs - direct[i]!.firstMs)
    expect(median(added)).toBeLessThan(MOST_ADDED_MS)

    const latencies: number[] = []
    const [{ arrivals: there }, { arrivals: here }] = [direct[0]!, behind[0]!]
    for (let count = 1; count <= EVENTS; count++) {
      const began = performance.now()
      await fetch(`${hub.url}/send?topic=a`, { method: 'POST', body: `${count}` })
      await expect.poll(() => [there.length, here.length]).toEqual([1 + count, 1 + count])
      latencies.push(here[count]! - began)
    }
    expect(median(here.slice(1).map((at, i) => at - there[1 + i]!))).toBeLessThan(MOST_ADDED_MS)
    const times = [median(behind.map(({ firstMs }) => firstMs)), median(latencies), Math.max(...latencies)]
    const [first, event, slowest] = times.map((ms) => `${ms.toFixed()} ms`)
    results.push(`${first}; ${event}, ${slowest}`)
  })

  test('bodies are passed on as they stream in', async () => {
    const { reader } = await timed(proxy.url)
    await publish('a', '1')
    await reader.gets('1')
    const { readable, writable } = new TransformStream<Uint8Array>()
    const body = writable.getWriter()
    const answer = fetch(`${proxy.url}/send?topic=a`, {
      method: 'POST',
      body: readable,
      duplex: 'half',
      headers: { 'content-type': 'application/x-ndjson' },
    } as RequestInit)
    for (const data of ['2', '3']) {
      await body.write(Buffer.from(`{"data":"${data}"}\n`))
      await expect.poll(() => reader.data).toContain(data)
    }
    await body.close()
    expect(await (await answer).json()).toMatchObject({ taken: 2 })
    results.push('passed on piece by piece')
  })

  test('a page of the hub can send, although its browser sends Origin alone, as without TLS', async () => {
    const response = await fetch(`${proxy.url}/send?message=x`, { method: 'POST', headers: { origin: proxy.url } })
    expect(response.status).toBe(200)
    const foreign = await fetch(`${proxy.url}/send?message=x`, {
      method: 'POST',
      headers: { connection: 'close', origin: 'http://evil.example' },
    })
    expect(foreign.status).toBe(403)
  })

  test('an EventSource gets every event once and in order while the hub is killed, and stopped, and started again', {
    timeout: 180_000,
  }, async () => {
    const source = new EventSource(`${proxy.url}/event?topic=b`)
    onTestFinished(() => source.close())
    const heard: string[] = []
    source.addEventListener('message', ({ data }) => heard.push(data))
    await once(source as unknown as EventTarget, 'hub.open')
    const said: string[] = []
    const say = async (data: string) => {
      await publish('b', data)
      said.push(data)
      await expect.poll(() => heard.at(-1), { timeout: 15_000 }).toBe(data)
    }
    await say('before')
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await hub.kill(signal)
      const ask = (accept: string) => fetch(`${proxy.url}/event?topic=a`, { headers: { accept } })
      const [later, json] = await Promise.all([ask('text/event-stream'), ask('application/json')])
      expect([later.status, later.headers.get('content-type'), await later.text()]).toEqual([
        200,
        'text/event-stream',
        'retry: 2000\n\n',
      ])
      expect([502, 503]).toContain(json.status)
      await json.body?.cancel()
      hub = await start(env)
      await expect.poll(async () => (await fetch(`${proxy.url}/health`)).status, { timeout: 10_000 }).toBe(200)
      await say(`after ${signal}`)
      await say('and again')
    }
    expect(heard).toEqual(said)
    expect(source.readyState).toBe(EventSource.OPEN)
    results.push('no event lost, the EventSource comes back')
  })

  test('a reader that has gone is noticed at once, or when the hub writes to it for the second time', async () => {
    const isSlow = name === 'haproxy'
    const streams = Array.from({ length: READERS }, () => new Stream(proxy.port, '/event?topic=c'))
    for (const stream of streams) await stream.until(() => stream.reader.control('open').length === 1)
    const readers = async () => ((await (await fetch(`${hub.url}/topics/c`)).json()) as { readers: number }).readers
    await publish('c', 'x')
    expect(await readers()).toBe(READERS)
    for (const { socket } of streams) socket.destroy()
    if (isSlow) await pause(1000)
    if (isSlow) expect(await readers()).toBe(READERS)
    for (let written = 0; written < 2 && isSlow; written++) {
      await publish('c', 'x')
      await pause(100)
    }
    await expect.poll(readers).toBe(0)
    results.push(isSlow ? 'noticed within two heartbeats' : 'noticed at once')
  })
})

test('the guide shows this table, whose times and versions are those of one machine', () => {
  const withoutFigures = (text: string) => text.replace(/\d+(\.\d+)*/g, '#')
  const guide = textOf('src/adapters/README.md')
  expect(guide).toContain(HEAD)
  for (const proxy of proxies) {
    const [row] = guide.split('\n').filter((line) => line.startsWith(`| ${proxy.name} `))
    if (!proxy.missing) expect(withoutFigures(row!)).toBe(withoutFigures(rowOf(proxy)))
  }
})
