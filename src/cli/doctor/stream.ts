import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { EXIT, Failure } from '../failure.ts'
import type { Remote } from '../remote.ts'
import { type Finding, note, ok, problem } from './finding.ts'

/** An event on a stream that takes longer than this was held back on its way. */
const SLOW_MS = 1000

const BUFFERS = 'A proxy between here and the hub buffers'
const ADVICE =
  'Switch buffering off for /event (nginx: proxy_buffering off; others: see "Behind any proxy" of the guide to runtimes), and compare with the URL of the hub itself'
const TOKEN = 'Give --token-file a token that may publish and subscribe to the scratch topic; --prefix says where it is'
const LATER =
  'Check again in a moment; if this stays, let proxies keep streams open (nginx: proxy_read_timeout longer than HEARTBEAT)'

/** What the check of a stream has found, and the clock of the hub as its event shows it. */
export interface Streamed {
  readonly findings: readonly Finding[]
  /** Whether the topic has an event now. */
  readonly isPublished: boolean
  /** How far the hub's clock is ahead of ours, in ms. */
  readonly aheadMs?: number
}

/** Subscribes to a topic, publishes to it, and measures when the stream begins and when the event arrives. */
export async function checkStream(remote: Remote, topic: string, timeoutMs: number): Promise<Streamed> {
  const abort = new AbortController()
  const begun = performance.now()
  const name = encodeURIComponent(topic)
  let isPublished = false
  try {
    const opening = remote.request(`/event?topic=${name}&envelope=true`, {
      headers: { accept: 'text/event-stream' },
      signal: abort.signal,
    })
    const answer = await within(opening, timeoutMs)
    if (!answer) return { isPublished, findings: [buffers(`no answer to a stream within ${timeoutMs} ms`)] }
    const findings = headFindings(answer)
    if (findings.some(({ level }) => level === 'problem')) return { isPublished, findings }
    const events = eventsOf(answer.body!)
    if (!(await within(events.next(), timeoutMs)))
      return {
        isPublished,
        findings: [...findings, buffers(`no event of a stream within ${timeoutMs} ms, although its answer has begun`)],
      }
    findings.push(ok('stream', `begins after ${ms(performance.now() - begun)}`))
    const sent = { wall: Date.now(), at: performance.now() }
    await remote.request(`/send?topic=${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"data":"a check of tidings doctor"}',
    })
    isPublished = true
    const event = await within(events.next(), timeoutMs)
    if (!event)
      return {
        isPublished,
        findings: [...findings, buffers(`a published event has not arrived within ${timeoutMs} ms`)],
      }
    const tookMs = performance.now() - sent.at
    findings.push(
      tookMs > SLOW_MS
        ? problem('event', `arrives only after ${ms(tookMs)}`, ADVICE)
        : ok('event', `arrives ${ms(tookMs)} after it was published`),
    )
    const { time } = JSON.parse(event.value) as { time: string }
    return { isPublished, findings, aheadMs: Date.parse(time) - (sent.wall + tookMs / 2) }
  } catch (cause) {
    if (!(cause instanceof Failure)) throw cause
    const advice = cause.exit === EXIT.unavailable ? LATER : TOKEN
    return { isPublished, findings: [problem('stream', cause.message, advice)] }
  } finally {
    abort.abort()
  }
}

function headFindings({ headers }: Response): Finding[] {
  const type = headers.get('content-type') ?? 'no type'
  const encoding = headers.get('content-encoding')
  if (!type.startsWith('text/event-stream'))
    return [
      problem(
        'stream',
        `the answer is ${type}, no event stream`,
        'Give the URL of a hub, with its path if it is mounted under one',
      ),
    ]
  if (!encoding) return []
  return [
    note(
      'compression',
      `streams are compressed (${encoding})`,
      'Compress no text/event-stream: each stream holds memory of the proxy',
    ),
  ]
}

function buffers(text: string): Finding {
  return problem('stream', text, `${BUFFERS}. ${ADVICE}`)
}

/** The data of `hub.open`, and then of each event of the topic. @throws Failure `unavailable` when the stream ends */
async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string, never> {
  const arrived: EventSourceMessage[] = []
  const parser = createParser({ maxBufferSize: 1024 ** 2, onEvent: (message) => arrived.push(message) })
  const decoder = new TextDecoder()
  try {
    for await (const bytes of body) {
      parser.feed(decoder.decode(bytes, { stream: true }))
      for (const { event, data } of arrived.splice(0)) {
        if (event === 'hub.ending') throw new Failure('the hub has ended the stream', EXIT.unavailable)
        if (event === 'hub.open' || !event?.startsWith('hub.')) yield data
      }
    }
  } catch (cause) {
    throw cause instanceof Failure ? cause : new Failure('the stream was cut off', EXIT.unavailable, { cause })
  }
  throw new Failure('the stream has ended without a word of the hub', EXIT.unavailable)
}

/** Resolves with undefined if a promise takes longer. */
async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  promise.catch(() => {}) // it may fail after the timeout
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined)
  })
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}

function ms(time: number): string {
  return `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`
}
