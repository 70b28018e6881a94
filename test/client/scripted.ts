import { onTestFinished, vi } from 'vitest'

/** A request that a client has sent, and how to answer it. */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal: AbortSignal | undefined
  answer(status: number, body?: unknown, headers?: Record<string, string>): void
  /** The connection is refused. */
  refuse(): void
  /** Answers with an event stream. */
  stream(...text: string[]): Streamed
}

export interface Streamed {
  /** Whether the client has let go of the stream. */
  readonly isCancelled: boolean
  /** Chunks that the client has read. */
  readonly reads: number
  send(...text: string[]): Promise<void>
  end(): Promise<void>
  /** Cuts the connection. */
  cut(): Promise<void>
}

/** How long a client may take before it sends a request, in ms: it loads a module for shared streams. */
const LOADING_MS = 1000

/** A hub that a test plays: `fetch` for a client, and the requests in order. */
export function scripted() {
  const asked: Asked[] = []
  const fetch = (url: string, init: RequestInit) =>
    new Promise<Response>((resolve, reject) => {
      const { pathname, search, searchParams } = new URL(url)
      const { method = 'GET', body, headers, signal } = init
      signal?.addEventListener('abort', () => reject(signal.reason))
      asked.push({
        method,
        path: pathname + (search && '?…'),
        query: searchParams,
        headers: headers as Record<string, string>,
        body: body ? `${body}` : '',
        signal: signal ?? undefined,
        answer: (status, body, headers) =>
          resolve(
            new Response(body === undefined ? null : JSON.stringify(body), { status, ...(headers && { headers }) }),
          ),
        refuse: () => reject(new TypeError('fetch failed')),
        stream: (...text) => streamed(resolve, signal ?? undefined, text),
      })
    })
  return { asked, fetch, next: () => until(() => asked.shift()) }
}

function streamed(resolve: (response: Response) => void, signal: AbortSignal | undefined, first: string[]): Streamed {
  const encoder = new TextEncoder()
  const chunks: string[] = []
  let pulled = () => {}
  let reads = 0
  let isCancelled = false
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        reads++
        while (chunks.length === 0)
          await new Promise<void>((resolve) => {
            pulled = resolve
          })
        const chunk = chunks.shift()!
        if (chunk === '\0end') controller.close()
        else if (chunk === '\0cut') controller.error(new TypeError('terminated'))
        else controller.enqueue(encoder.encode(chunk))
      },
      cancel() {
        isCancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  signal?.addEventListener('abort', () => {
    isCancelled = true
    chunks.unshift('\0cut')
    pulled()
  })
  const send = async (...text: string[]) => {
    chunks.push(...text)
    pulled()
    await settled()
  }
  resolve(new Response(body, { headers: { 'content-type': 'text/event-stream; charset=utf-8' } }))
  if (first.length > 0) void send(...first)
  return {
    get isCancelled() {
      return isCancelled
    },
    get reads() {
      return reads
    },
    send,
    end: () => send('\0end'),
    cut: () => send('\0cut'),
  }
}

/** Lets everything run that waits for no timer. */
export const settled = () => vi.advanceTimersByTimeAsync(0)

async function until<T>(find: () => T | undefined): Promise<T> {
  const end = performance.now() + LOADING_MS
  for (let turn = 0; turn < 100 || performance.now() < end; turn++) {
    const found = find()
    if (found !== undefined) return found
    await settled()
  }
  throw new Error('The client sends no request')
}

/** The clock is the test's, and random numbers are 0.5, so that a pause is half of its bound. */
export function fakeClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
  const random = vi.spyOn(Math, 'random').mockReturnValue(0.5)
  onTestFinished(() => {
    random.mockRestore()
    vi.useRealTimers()
  })
}

export const open = (state = 'live', id = 'e-0') =>
  `:\nretry: 3000\nevent: hub.open\ndata: {"state":"${state}","stream":"${'ab'.repeat(16)}"}\nid: ${id}\n\n`

export const event = (seq: number, data = `${seq}`, more: object = {}) =>
  `data: ${JSON.stringify({ topic: 'a', event: 'message', data, time: '2026-11-28T09:00:00.000Z', ...more })}\nid: e-${seq}\n\n`

export const control = (name: string, data: unknown, more = '') =>
  `event: hub.${name}\ndata: ${JSON.stringify(data)}\n${more}\n`

export const problem = (code: string) => ({ code, detail: `it is ${code}` })
