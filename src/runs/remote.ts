import { whenGone } from '../client-gone.ts'
import { AppError, type Code, statuses } from '../errors.ts'
import type { Delivered, DeliveredEntry } from '../hub/delivered.ts'
import type { Published } from '../hub/internal.ts'
import { parsePosition } from '../hub/position.ts'
import { jitter } from '../hub/random.ts'
import type { Message } from '../log/log.ts'
import type { Outcome } from '../log/runs.ts'
import { parseTopic, topicInPath } from '../topic.ts'
import { parseClaim } from './claim.ts'
import { type Lease, type Line, Producer } from './producer.ts'
import type { ClaimOptions, Run, RunEntriesOptions, RunInfo, Runs } from './run.ts'
import { sleep } from './sleep.ts'

/**
 * Where a hub is, and what the client shows it.
 *
 * @example
 * const options: RemoteOptions = { url: 'https://hub.example', token: 'eyJ…' }
 */
export interface RemoteOptions {
  /** The URL of the hub, with the path under which it is mounted. */
  readonly url: string
  /** A token or an API key that may publish to the topics, and `$stop/<topic>` and `$topics/<topic>` for `stop` and `delete`. */
  readonly token?: string
  /** Sends a request; by default the `fetch` of the runtime. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

/** How long an answer of a poll may wait for entries, in s, and how long this client waits for any answer, in ms. */
const WAIT_S = 20
const TIMEOUT_MS = 30_000
/** Shortest time for an answer to a producer, in ms; of a longer lease, this share. */
const MIN_TIMEOUT_MS = 1000
const TIMEOUTS = 3
/** First and longest time between two attempts, in ms. */
const RETRY_MS = 200
const MAX_RETRY_MS = 5000

/**
 * The runs of a hub elsewhere, over HTTP. A publish that gets no answer is sent again with the same key until the lease must have ended, so
 * nothing is published twice.
 *
 * @example
 * const run = await remoteRuns({ url: 'http://localhost:3000' }).claim('jobs/7')
 * await run.publish({ data: '50 %' })
 * await run.end()
 */
export function remoteRuns(options: RemoteOptions): Runs {
  return new RemoteRuns(options)
}

class RemoteRuns implements Runs, Line {
  readonly #base: string
  readonly #options: RemoteOptions
  /** Makes the keys of messages without one: unique for this object. */
  readonly #name = crypto.randomUUID()
  #published = 0

  constructor(options: RemoteOptions) {
    this.#base = options.url.replace(/\/+$/, '')
    this.#options = options
  }

  async claim(topic: string, options: ClaimOptions = {}): Promise<Run> {
    const { leaseMs, graceMs, key = crypto.randomUUID() } = parseClaim(options)
    const { signal } = options
    // With its key, a claim that gets no answer can be sent again.
    const claimed = await this.#until(performance.now() + leaseMs, signal, () =>
      this.#json('POST', `${pathOf('runs', topic)}?lease=${leaseMs}ms&grace=${graceMs}ms`, {
        headers: { 'idempotency-key': key },
        timeoutMs: timeoutOf(leaseMs),
        signal,
      }),
    )
    const { token, ...info } = claimed as unknown as Shown & { token: string }
    let stopListening = () => {}
    const producer = new Producer({ line: this, token, info: infoOf(info), onReleased: () => stopListening() })
    if (signal) stopListening = whenGone(signal, () => producer.release())
    return producer
  }

  async stop(topic: string, fence?: number): Promise<RunInfo | undefined> {
    const query = new URLSearchParams({ topic, ...(fence !== undefined && { fence: `${fence}` }) })
    const info = (await this.#json('POST', `/stop?${query}`)) as unknown as Shown
    return info.fence === undefined ? undefined : infoOf(info)
  }

  async state(topic: string): Promise<RunInfo | undefined> {
    return this.#json('GET', pathOf('runs', topic)).then(
      (info) => infoOf(info as unknown as Shown),
      (error) => {
        if (error instanceof AppError && error.code === 'run_unknown') return undefined
        throw error
      },
    )
  }

  async delete(topic: string): Promise<void> {
    await this.#json('DELETE', pathOf('topics', topic)).catch((error) => {
      if (!(error instanceof AppError && error.code === 'nothing_to_delete')) throw error
    })
  }

  /** Polls: an answer has all entries that are due, or waits for the next one. */
  async *entries(name: string, { after, signal }: RunEntriesOptions = {}): AsyncGenerator<Delivered, void, undefined> {
    const topic = parseTopic(name)
    for (let position = after; !signal?.aborted; ) {
      const begin = position === undefined ? { from: 'earliest' } : { lastEventId: position }
      const query = new URLSearchParams({ topic, wait: `${WAIT_S}`, ...begin })
      let answer: Polled
      try {
        answer = await this.#until(Number.POSITIVE_INFINITY, signal, () => this.#poll(`/event?${query}`, signal))
      } catch (error) {
        if (signal?.aborted) return
        throw error
      }
      for (const gap of answer.gaps ?? []) yield { kind: 'gap', id: gap.to, ...gap }
      for (const { time, ...event } of answer.events)
        yield { kind: 'entry', ...event, time: Date.parse(time) } as DeliveredEntry
      position = answer.position
      const ended = answer.ended?.find((one) => one.topic === topic)
      if (ended) {
        const { outcome, detail } = ended
        const close = { kind: 'entry', id: position, topic, event: 'message', time: Date.now(), close: true } as const
        yield { ...close, outcome, ...(detail !== undefined && { detail }) }
      }
      if (ended || answer.closed?.includes(topic)) return // perhaps at the position from which this poll began
    }
  }

  async publish(messages: readonly Message[], lease: Lease, tellStop: () => void): Promise<readonly Published[]> {
    const { token, leaseMs } = lease
    const [{ topic }] = messages as [Message]
    const body = messages.map(({ run: _, ...message }) => ({ key: `${this.#name}/${this.#published++}`, ...message }))
    const request = { headers: { 'tidings-run': token }, body, timeoutMs: timeoutOf(leaseMs) }
    const answer = await this.#until(performance.now() + leaseMs, undefined, () =>
      this.#json('POST', `/send?${new URLSearchParams({ topic })}`, request),
    )
    const { ids, duplicates = 0, stop } = answer as unknown as { ids: string[]; duplicates?: number; stop?: true }
    const known = knownOf(ids, duplicates)
    if (stop) tellStop()
    // A duplicate of a message with a key of ours is this publish itself, which was sent again.
    return ids.map((id, i) => ({ id, duplicate: known[i]! && messages[i]!.key !== undefined }))
  }

  async renew(topic: string, { token, leaseMs }: Lease): Promise<RunInfo> {
    const request = { headers: { 'tidings-run': token }, timeoutMs: timeoutOf(leaseMs) }
    return infoOf((await this.#json('PATCH', pathOf('runs', topic), request)) as unknown as Shown)
  }

  async #json(method: string, path: string, { headers, body, timeoutMs = TIMEOUT_MS, signal }: Request = {}) {
    const text = await this.#send(path, signalOf(timeoutMs, signal), {
      method,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    return JSON.parse(text) as Record<string, unknown>
  }

  async #poll(path: string, signal: AbortSignal | undefined): Promise<Polled> {
    const headers = { accept: 'application/json' }
    return JSON.parse(await this.#send(path, signalOf(TIMEOUT_MS, signal), { headers })) as Polled
  }

  /**
   * Returns the text of an answer that arrived whole.
   *
   * @throws AppError of the hub, and `log_unavailable` if the hub gives no answer, or no whole one
   */
  async #send(path: string, signal: AbortSignal, init: RequestInit): Promise<string> {
    const { token, fetch = globalThis.fetch } = this.#options
    const headers = { ...init.headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) }
    let answer: Response
    let text: string
    try {
      answer = await fetch(this.#base + path, { ...init, headers, signal })
      text = await answer.text()
    } catch (cause) {
      throw new AppError('log_unavailable', 'Cannot reach the hub', { cause })
    }
    if (!answer.ok) throw problemOf(answer, text)
    return text
  }

  /** Sends again, after a pause that grows, while the hub cannot answer and the time has not come. */
  async #until<T>(time: number, signal: AbortSignal | undefined, send: () => Promise<T>): Promise<T> {
    for (let pauseMs = RETRY_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_RETRY_MS)) {
      try {
        return await send()
      } catch (error) {
        const isPassing =
          error instanceof AppError &&
          (error.isTemporary || error.code === 'outcome_unknown' || error.code === 'rate_limited')
        const waitMs = jitter(Math.max(pauseMs, 1000 * ((error as AppError).retryAfterS ?? 0)))
        if (!isPassing || signal?.aborted || performance.now() + waitMs > time) throw error
        await sleep(waitMs, signal)
      }
    }
  }
}

interface Request {
  readonly headers?: Record<string, string>
  readonly body?: unknown
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
}

/** The path of a topic below a route. @throws AppError of `parseTopic` */
function pathOf(route: 'runs' | 'topics', topic: string): string {
  return `/${route}/${topicInPath(parseTopic(topic))}`
}

/** Which messages were known, of which the hub tells the number: new entries are the last ones of its log. */
function knownOf(ids: readonly string[], duplicates: number): readonly boolean[] {
  const seqs = ids.map((id) => parsePosition(id)!.seq)
  const fresh = new Set([...new Set(seqs)].sort((a, b) => b - a).slice(0, ids.length - duplicates))
  return seqs.map((seq) => !fresh.delete(seq))
}

/** How long a producer waits for an answer before it asks again, in ms. */
function timeoutOf(leaseMs: number): number {
  return Math.min(Math.max(Math.ceil(leaseMs / TIMEOUTS), MIN_TIMEOUT_MS), TIMEOUT_MS)
}

function signalOf(timeoutMs: number, signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs)
  return signal ? AbortSignal.any([signal, timeout]) : timeout
}

/** The error of an answer: that of the hub, or of a proxy before a hub that cannot be reached. */
function problemOf(answer: Response, text: string): AppError {
  const { code, detail } = parseProblem(text)
  const retryAfterS = Number(answer.headers.get('retry-after'))
  const more = retryAfterS > 0 ? { retryAfterS } : {}
  if (code === undefined && answer.status >= 502)
    return new AppError('log_unavailable', `The hub answered ${answer.status}`, more)
  const known: Code = code !== undefined && Object.hasOwn(statuses, code) ? (code as Code) : 'internal'
  return new AppError(known, detail ?? `The hub answered ${answer.status}`, more)
}

function parseProblem(text: string): { readonly code?: string; readonly detail?: string } {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {}
  }
}

type Shown = Omit<RunInfo, 'leaseEnd'> & { readonly leaseEnd?: string }

interface Polled {
  readonly events: readonly {
    readonly id: string
    readonly topic: string
    readonly event: string
    readonly data: string
    readonly time: string
  }[]
  readonly position: string
  /** Topics that are closed at the position. */
  readonly closed?: readonly string[]
  readonly gaps?: readonly Omit<Extract<Delivered, { kind: 'gap' }>, 'kind' | 'id'>[]
  readonly ended?: readonly (Outcome & { readonly topic: string })[]
}

function infoOf({ leaseEnd, ...info }: Shown): RunInfo {
  return { ...info, ...(leaseEnd !== undefined && { leaseEnd: Date.parse(leaseEnd) }) }
}
