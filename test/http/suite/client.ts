import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Reader } from '../../reader.ts'
import { Conforms } from '../conforms.ts'

/** A hub to test: answers like `fetch`, given a path. */
export interface Target {
  readonly name: string
  fetch(path: string, init?: Init): Promise<Response>
  /** The path under which the hub is mounted in another app. */
  readonly mountedAt?: string
  /** How long a reader that vanished may still be counted: two heartbeats; 5 s by default. */
  readonly goneWithinMs?: number
  /** Cases to skip on this target, by title, with the reason. */
  readonly skip?: Readonly<Record<string, string>>
  /** Whether to delete the topics of the suite at the end and to set the store back, for a hub that goes on. */
  readonly cleansUp?: boolean
  /** The cases to run: those of `everywhere()`, the others, or, by default, all. */
  readonly cases?: Cases
}

/** The first `retry:` of a stream with default settings: `RETRY`, on Workers up to twice as long. */
export const RETRY = expect.toSatisfy((ms: number) => ms >= 3000 && ms <= 6000)

export type Cases = 'all' | 'everywhere' | 'others'
type Init = RequestInit & { duplex?: 'half' }
type Case = (title: string, run: (skip: (condition: boolean, reason: string) => void) => Promise<void>) => void

interface Stream {
  readonly response: Response
  readonly reader: Reader
  close(): void
}

export type Client = ReturnType<typeof clientOf>

/** What the cases of the suite use to send requests to a target; the suite closes the streams after each case. */
export function clientOf(target: Target) {
  const open: Stream[] = []
  let topics = 0
  let before = 0
  let storeBefore: string | undefined
  let description: Conforms | undefined

  const fetch = async (path: string, init?: Init) => {
    const response = await target.fetch(path, init)
    await description?.check(path, init?.method ?? 'GET', response)
    return response
  }
  const json = async (response: Response) => (await response.json()) as Record<string, unknown>
  /** Every topic that the suite publishes to begins with this and a slash. */
  const scope = `suite-${Math.random().toString(36).slice(2)}`
  const freshTopic = () => `${scope}/${topics++}`
  const post = (path: string, body: BodyInit, type?: string) =>
    fetch(path, { method: 'POST', body, ...(type && { headers: { 'content-type': type } }) })
  const postJson = (path: string, value: unknown) => post(path, JSON.stringify(value), 'application/json')
  const postKeyed = (path: string, key: string, value: unknown) =>
    fetch(path, {
      method: 'POST',
      body: JSON.stringify(value),
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
    })
  /** Begins a request whose body is written piece by piece. */
  const upload = (path: string, type: string, headers: Record<string, string> = {}) => {
    const body = new TransformStream<Uint8Array, Uint8Array>()
    const writer = body.writable.getWriter()
    writer.closed.catch(() => {}) // the hub need not read the body to its end
    const answer = fetch(path, {
      method: 'POST',
      body: body.readable,
      duplex: 'half',
      headers: { 'content-type': type, ...headers },
    })
    answer.catch(() => {})
    const write = (text: string | Uint8Array) =>
      writer.write(typeof text === 'string' ? new TextEncoder().encode(text) : text)
    return { answer, write, end: () => writer.close(), cut: () => writer.abort(new Error('cut')) }
  }
  const publish = async (topic: string, ...data: string[]) => {
    const ids: string[] = []
    for (const one of data) ids.push((await json(await postJson(`/send?topic=${topic}`, { data: one }))).id as string)
    return ids
  }

  async function stream(path: string, headers: Record<string, string> = {}, init: Init = {}): Promise<Stream> {
    const abort = new AbortController()
    const response = await fetch(path, {
      ...init,
      headers: { accept: 'text/event-stream', ...headers },
      signal: abort.signal,
    })
    const reader = new Reader().follow(chunks(response))
    const made = { response, reader, close: () => abort.abort() }
    open.push(made)
    return made
  }

  const goneWithinMs = target.goneWithinMs ?? 5000
  const readers = async () => (await json(await fetch('/ready'))).readers as number
  const messages = (reader: Reader) => reader.data.map((data) => JSON.parse(data).message as string)
  const current = async () => {
    const { reader, close } = await stream('/event')
    await expect.poll(() => reader.events.length).toBeGreaterThan(0)
    close()
    return messages(reader)[0]
  }

  const polled = async () => {
    const { events } = await json(await target.fetch('/event', { headers: { accept: 'application/json' } }))
    return JSON.parse((events as { data: string }[])[0]!.data).message as string
  }

  async function expectProblem(response: Response, status: number, code: string): Promise<Record<string, unknown>> {
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    const problem = await json(response)
    expect(problem).toMatchObject({
      type: 'about:blank',
      title: expect.any(String),
      status,
      code,
      detail: expect.any(String),
    })
    expect(response.status).toBe(status)
    expect((problem.detail as string).length).toBeGreaterThan(20)
    return problem
  }

  let cases: (() => void)[] = []
  const runIn =
    (which: Cases): Case =>
    (title, run) => {
      if (![which, 'all', undefined].includes(target.cases)) return
      cases.push(() =>
        test(title, { timeout: 120_000 + 2 * (target.goneWithinMs ?? 0) }, async ({ skip }) => {
          const reason = target.skip?.[title]
          skip(reason !== undefined, reason)
          await run(skip)
        }),
      )
    }

  /** Makes a group of the cases that `define` adds, unless none of them runs on this target. */
  function group(title: string, define: () => void): void {
    cases = []
    define()
    const made = cases
    if (made.length > 0)
      describe(`over ${target.name}, ${title}`, () => {
        for (const add of made) add()
      })
  }

  beforeAll(async () => {
    before = await readers()
    if (target.cleansUp) storeBefore = await polled()
    description = new Conforms(await json(await fetch('/openapi.json')))
  })

  const closeStreams = () => {
    for (const { close } of open.splice(0)) close()
  }
  afterEach(closeStreams)

  afterAll(async () => {
    if (!target.cleansUp) return
    for (;;) {
      const listed = (await json(await target.fetch(`/topics?prefix=${scope}/&limit=1000`))).topics
      if (!Array.isArray(listed) || listed.length === 0) break
      for (const { topic } of listed) await target.fetch(`/topics/${topic}`, { method: 'DELETE' })
    }
    if ((await polled()) !== storeBefore) await postJson('/send', { message: storeBefore })
    closeStreams()
  }, 60_000)

  return {
    group,
    mountedAt: target.mountedAt ?? '',
    goneWithinMs,
    /** Sends a request and checks that `/openapi.json` describes its answer. */
    fetch,
    fetchUnchecked: target.fetch,
    json,
    scope,
    freshTopic,
    post,
    postJson,
    postKeyed,
    publish,
    upload,
    stream,
    readers,
    /** The number of readers before the first case. */
    countBefore: () => before,
    messages,
    current,
    expectProblem,
    /** A case that depends on the runtime, its carrier or its log: `npm test` runs it on each of them. */
    everywhere: runIn('everywhere'),
    /** A case that `npm test` runs on `app.request()`, Node and workerd, and `npm run test:all` on the others. */
    it: runIn('others'),
    description: () => description!,
  }
}

export async function* chunks(response: Response): AsyncIterable<Uint8Array> {
  if (response.body) yield* response.body
}
