import { isCode, isLost } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { randomName } from '../hub/random.ts'
import { runs as runsOf } from '../runs/near.ts'
import { chunksOf } from '../runs/parts.ts'
import type { Run, Runs } from '../runs/run.ts'
import { topicOf } from '../runs/topics.ts'
import { ChunkWriter } from '../runs/writer.ts'
import { parseTopic } from '../topic.ts'

/**
 * Where streams are, and how. Either `hub`, in this process, or `runs`, of a hub that may be elsewhere.
 *
 * @example
 * const options: AssistantStreamOptions = { hub, keyPrefix: 'assistant', leaseMs: 5000 }
 */
export type AssistantStreamOptions = {
  /** The topic below which streams are: `assistant-stream` by default. */
  readonly keyPrefix?: string
  /** After how long without a sign of life a producer counts as dead, and how long after that readers get an error; see `ClaimOptions`. */
  readonly leaseMs?: number
  readonly graceMs?: number
} & ({ readonly hub: Hub; readonly runs?: undefined } | { readonly runs: Runs; readonly hub?: undefined })

/**
 * The `ResumableStreamStore` of `assistant-stream` 0.3, structurally. `ttlMs` is not used: the retention of the hub decides.
 *
 * @example
 * const isOver = async (store: AssistantStreamStore, id: string) => (await store.status(id)) !== 'streaming'
 */
export interface AssistantStreamStore {
  acquire(streamId: string, options?: { readonly ttlMs?: number }): Promise<'producer' | 'consumer'>
  acquireLease(
    streamId: string,
    options?: { readonly ttlMs?: number },
  ): Promise<{ readonly role: 'producer'; readonly lease: Lease } | { readonly role: 'consumer' }>
  append(streamId: string, chunk: Uint8Array, lease?: Lease): Promise<void>
  finalize(streamId: string, status: 'done' | 'error', error?: string, lease?: Lease): Promise<boolean>
  read(
    streamId: string,
    cursor: string,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly cursor: string; readonly chunk: Uint8Array }>
  status(streamId: string): Promise<'streaming' | 'done' | 'error' | 'missing'>
  delete(streamId: string): Promise<void>
}

/** What the first caller gets, and shows when it appends. It is of use in the store that has given it. */
interface Lease {
  readonly token: string
}

/**
 * The `ResumableStreamError` of the package, structurally: its name, its codes and its messages.
 *
 * @example
 * const isReplaced = (error: unknown) => error instanceof ResumableStreamError && error.code === 'missing'
 */
export class ResumableStreamError extends Error {
  readonly code: 'missing' | 'exists' | 'finalized' | 'invalid-id'

  constructor(code: ResumableStreamError['code'], message: string) {
    super(message)
    this.name = 'ResumableStreamError'
    this.code = code
  }
}

/** An acquisition of this store. */
interface Acquired {
  readonly run: Run
  readonly writer: ChunkWriter
}

const STREAM_ID = /^[A-Za-z0-9_.:-]{1,256}$/
/** How many of the newest leases are known as finalized. A producer that still appends under an older one learns that it is superseded. */
const MAX_FINALIZED = 10_000

/**
 * Makes a `ResumableStreamStore` for `createResumableStreamContext` of `assistant-stream/resumable`, whose streams are in the log of a hub.
 * The log compares the claim of the producer in the same write. A producer that dies is an error after its last chunk, and one that somebody
 * asks to stop gets the error `run_stopped` from `append`, after which its stream is done.
 *
 * @throws AppError `topic_invalid` (the prefix); from the methods also those of `Runs`
 * @example
 * import { createResumableStreamContext } from 'assistant-stream/resumable'
 * const context = createResumableStreamContext({ store: createAssistantStreamStore({ hub }) })
 * const answer = async (id: string, model: () => ReadableStream<Uint8Array>) => new Response(await context.run(id, model))
 */
export function createAssistantStreamStore(options: AssistantStreamOptions): AssistantStreamStore {
  const { keyPrefix = 'assistant-stream', leaseMs, graceMs } = options
  const runs = options.runs ?? runsOf(options.hub)
  const claim = { ...(leaseMs !== undefined && { leaseMs }), ...(graceMs !== undefined && { graceMs }) }
  /** What is not final yet, by token. */
  const acquired = new Map<string, Acquired>()
  /** The newest token of each of their streams, for callers without a lease. */
  const newest = new Map<string, string>()
  /** The streams that this store has finalized, by token. */
  const finalized = new Map<string, string>()
  parseTopic(keyPrefix)

  const topicFor = (streamId: string) => topicOf(keyPrefix, streamId)
  const tokenOf = (streamId: string, lease: Lease | undefined) => lease?.token ?? newest.get(streamId) ?? ''

  /** Claims a stream that nobody has claimed. */
  async function tryClaim(streamId: string): Promise<Run | undefined> {
    const topic = await topicFor(streamId)
    if (await runs.state(topic)) return
    return runs.claim(topic, claim).catch((error) => {
      if (!isCode(error, 'run_taken', 'topic_closed')) throw error
      return undefined
    })
  }

  /** Why a producer may not append. */
  async function refusal(streamId: string, lease: Lease | undefined): Promise<Error> {
    const state = await runs.state(await topicFor(streamId))
    if (!state) return notFound(streamId)
    const isFinal = lease ? finalized.has(lease.token) : state.outcome !== undefined
    return isFinal
      ? new ResumableStreamError('finalized', `Stream already finalized: ${streamId}`)
      : new ResumableStreamError('missing', `Stream superseded by a new acquisition: ${streamId}`)
  }

  function forget(streamId: string, token: string): void {
    acquired.get(token)?.run.release()
    acquired.delete(token)
    if (newest.get(streamId) === token) newest.delete(streamId)
  }

  const store: AssistantStreamStore = {
    async acquire(streamId, options) {
      return (await store.acquireLease(streamId, options)).role
    },

    async acquireLease(streamId) {
      checkId(streamId)
      const run = await tryClaim(streamId)
      if (!run) return { role: 'consumer' }
      const token = randomName()
      acquired.set(token, { run, writer: new ChunkWriter(run, streamId) })
      newest.set(streamId, token)
      return { role: 'producer', lease: { token } }
    },

    async append(streamId, chunk, lease) {
      checkId(streamId)
      const held = acquired.get(tokenOf(streamId, lease))
      if (!held) throw await refusal(streamId, lease)
      const { run, writer } = held
      if (isStopped(run)) throw run.signal.reason
      try {
        await writer.write(toBase64(chunk))
        await writer.flush()
      } catch (error) {
        throw isLost(error) ? await refusal(streamId, lease) : error
      }
      if (isStopped(run)) throw run.signal.reason // a hub elsewhere tells it in its answer
    },

    async finalize(streamId, status, error = 'Stream errored', lease) {
      checkId(streamId)
      const topic = await topicFor(streamId)
      const token = tokenOf(streamId, lease)
      const held = acquired.get(token)
      if (!(await runs.state(topic))) {
        forget(streamId, token)
        throw notFound(streamId)
      }
      if (!held) return false
      try {
        if (status === 'done' || isStopped(held.run))
          await held.writer.end({ outcome: isStopped(held.run) ? 'stopped' : 'done' })
        else await held.writer.fail(error)
      } catch (cause) {
        if (isLost(cause) || held.run.signal.aborted) forget(streamId, token)
        if (!isLost(cause)) throw cause
        return false
      }
      forget(streamId, token)
      finalized.set(token, streamId)
      if (finalized.size > MAX_FINALIZED) finalized.delete(finalized.keys().next().value!)
      return true
    },

    async *read(streamId, cursor, signal) {
      checkId(streamId)
      const topic = await topicFor(streamId)
      if (!(await runs.state(topic))) throw notFound(streamId)
      let producers = cursor === '' ? 0 : 1
      try {
        for await (const piece of chunksOf(runs, topic, { signal, after: cursor === '' ? undefined : cursor })) {
          if (piece.kind === 'start' && ++producers > 1) return // the stream was deleted, and another has its id
          if (piece.kind === 'chunk') yield { cursor: piece.offset, chunk: fromBase64(piece.chunk) }
          else if (piece.kind === 'end' && piece.outcome === 'failed') throw new Error(piece.detail ?? 'Stream errored')
          else if (piece.kind === 'end' && piece.outcome === 'abandoned')
            throw new Error(`Stream abandoned: its producer has given no sign of life: ${streamId}`)
        }
      } catch (error) {
        if (!isCode(error, 'gap') || (await runs.state(topic))) throw error
        // The stream was deleted.
      }
    },

    async status(streamId) {
      checkId(streamId)
      const state = await runs.state(await topicFor(streamId))
      if (!state) return 'missing'
      if (state.outcome === undefined) return 'streaming'
      return state.outcome === 'done' || state.outcome === 'stopped' ? 'done' : 'error'
    },

    async delete(streamId) {
      checkId(streamId)
      const topic = await topicFor(streamId)
      for (const [token, of] of finalized) if (of === streamId) finalized.delete(token)
      forget(streamId, tokenOf(streamId, undefined))
      if (!(await runs.state(topic))) return
      await runs.delete(topic)
      // Readers who wait at the end of the stream hear of entries alone: this one ends them.
      const run = await tryClaim(streamId)
      if (!run) return // another producer has begun
      await new ChunkWriter(run, streamId).end({ outcome: 'stopped' }).finally(() => run.release())
      await runs.delete(topic)
    },
  }
  return store
}

/** Whether somebody has asked the producer to stop. */
function isStopped({ signal }: Run): boolean {
  return signal.aborted && isCode(signal.reason, 'run_stopped')
}

/** @throws ResumableStreamError `invalid-id` */
function checkId(streamId: string): void {
  if (STREAM_ID.test(streamId)) return
  throw new ResumableStreamError('invalid-id', `Invalid streamId: ${streamId} (must match ${STREAM_ID})`)
}

function notFound(streamId: string): Error {
  return new Error(`Stream not found: ${streamId}`)
}

function toBase64(bytes: Uint8Array): string {
  const step = 0x2000 // each byte of a step is an argument of a call
  let binary = ''
  for (let i = 0; i < bytes.length; i += step) binary += String.fromCharCode(...bytes.subarray(i, i + step))
  return btoa(binary)
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
