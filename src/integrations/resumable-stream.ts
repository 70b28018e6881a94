import { whenGone } from '../client-gone.ts'
import { AppError, quote } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { runs as runsOf } from '../runs/near.ts'
import { chunksOf } from '../runs/parts.ts'
import type { Run, RunInfo, Runs } from '../runs/run.ts'
import { topicOf } from '../runs/topics.ts'
import { ChunkWriter, type JoinOptions } from '../runs/writer.ts'
import { parseTopic } from '../topic.ts'

/**
 * Where streams are, and how. Either `hub`, in this process, or `runs`, of a hub that may be elsewhere.
 *
 * @example
 * const options: ResumableStreamOptions = { hub, waitUntil: null, replay: true }
 */
export type ResumableStreamOptions = StreamOptions &
  ({ readonly hub: Hub; readonly runs?: undefined } | { readonly runs: Runs; readonly hub?: undefined })

interface StreamOptions {
  /** Keeps the program alive until a promise is settled, on platforms that suspend it. `null` where nothing has to. */
  readonly waitUntil: ((promise: Promise<unknown>) => void) | null
  /** The topic below which streams are: `resumable-stream` by default. Readers of these topics are granted what they may read. */
  readonly keyPrefix?: string
  /** Resumes streams that are done too, as long as their entries are kept. By default they are `null`. */
  readonly replay?: boolean
  /** After how long without a sign of life a producer counts as dead, and how long after that readers get an error; see `ClaimOptions`. */
  readonly leaseMs?: number
  readonly graceMs?: number
  /** Joins small chunks to one entry. By default each chunk is an entry. */
  readonly join?: JoinOptions
  /** Called with the error that ended a producer. Readers are not told it, because it may hold secrets. */
  readonly onError?: (streamId: string, error: unknown) => void
}

/**
 * The four functions of `resumable-stream` 2.2, and `cancelStream`. Ids are any text of at most 4,096 characters. `skipCharacters` counts
 * UTF-16 code units.
 *
 * @example
 * const isOver = async (context: ResumableStreamContext, id: string) => (await context.hasExistingStream(id)) === 'DONE'
 */
export interface ResumableStreamContext {
  /**
   * Resumes a stream, or begins it with `makeStream` if nobody has. The stream is produced to its end, whether anybody reads it or not.
   *
   * @returns null if the stream is done
   */
  resumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>
  /** Resumes a stream. @returns null if the stream is done, undefined if it never existed */
  resumeExistingStream(streamId: string, skipCharacters?: number): Promise<ReadableStream<string> | null | undefined>
  /** Begins a stream, which replaces another with the same id: its producer is refused from then on, and its readers get an error. */
  createNewResumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>
  /** @returns null if the stream never existed, `'DONE'` if it is done, and true if it is produced or its producer has failed */
  hasExistingStream(streamId: string): Promise<null | true | 'DONE'>
  /**
   * Asks the producer of a stream to stop, wherever it is: it cancels its source, and the stream is done. A stop before the first producer is
   * told to that one.
   *
   * @returns whether the stream is being produced
   */
  cancelStream(streamId: string): Promise<boolean>
}

/**
 * Makes a drop-in for `createResumableStreamContext` of the package `resumable-stream`, whose streams are in the log of a hub. They survive
 * the process that produces them: a reader gets what it has published, and then an error on the stream, never silence.
 *
 * @throws AppError `topic_invalid` (the prefix); from the functions those of `topicOf`, of `Runs`, and what `makeStream` throws
 * @example
 * const context = createResumableStreamContext({ hub, waitUntil: null })
 * async function answer(id: string, model: () => ReadableStream<string>): Promise<Response> {
 *   const stream = await context.resumableStream(id, model)
 *   return stream ? new Response(stream.pipeThrough(new TextEncoderStream())) : new Response(null, { status: 204 })
 * }
 */
export function createResumableStreamContext(options: ResumableStreamOptions): ResumableStreamContext {
  const { waitUntil, keyPrefix = 'resumable-stream', replay = false, join, onError, leaseMs, graceMs } = options
  const runs = options.runs ?? runsOf(options.hub)
  const lease = { ...(leaseMs !== undefined && { leaseMs }), ...(graceMs !== undefined && { graceMs }) }
  parseTopic(keyPrefix)

  async function resume(streamId: string, skip?: number): Promise<ReadableStream<string> | null | undefined> {
    const topic = await topicOf(keyPrefix, streamId)
    const state = await runs.state(topic)
    if (!state) return
    return isDone(state) && !replay ? null : streamOf((signal) => textOf(runs, topic, { streamId, skip, signal }))
  }

  /** Claims the stream, begins to produce it, and reads it. @throws AppError `run_taken`, `topic_closed` */
  async function produce(streamId: string, makeStream: () => ReadableStream<string>): Promise<ReadableStream<string>> {
    const topic = await topicOf(keyPrefix, streamId)
    const run = await runs.claim(topic, lease)
    const writer = new ChunkWriter(run, streamId, join)
    let source: ReadableStreamDefaultReader<string>
    try {
      source = makeStream().getReader()
    } catch (error) {
      await fail(run, writer).catch(() => {}) // the caller gets the first error
      throw error
    }
    const produced = pump(source, run, writer).catch((error) => onError?.(streamId, error))
    waitUntil?.(produced)
    // A producer reads all of its stream whatever `skipCharacters` says, as upstream does.
    return streamOf((signal) => textOf(runs, topic, { streamId, signal }))
  }

  /** Produces the stream, or resumes that of a producer who was faster. */
  async function produceOrResume(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skip?: number,
  ): Promise<ReadableStream<string> | null> {
    try {
      return await produce(streamId, makeStream)
    } catch (error) {
      const isTaken = error instanceof AppError && (error.code === 'run_taken' || error.code === 'topic_closed')
      if (!isTaken) throw error
      return (await resume(streamId, skip)) ?? null
    }
  }

  return {
    async resumableStream(streamId, makeStream, skipCharacters) {
      const existing = await resume(streamId, skipCharacters)
      return existing === undefined ? produceOrResume(streamId, makeStream, skipCharacters) : existing
    },
    resumeExistingStream: resume,
    async createNewResumableStream(streamId, makeStream, skipCharacters) {
      const topic = await topicOf(keyPrefix, streamId)
      if (await runs.state(topic)) await runs.delete(topic)
      return produceOrResume(streamId, makeStream, skipCharacters)
    },
    async hasExistingStream(streamId) {
      const state = await runs.state(await topicOf(keyPrefix, streamId))
      return state ? (isDone(state) ? 'DONE' : true) : null
    },
    async cancelStream(streamId) {
      const state = await runs.stop(await topicOf(keyPrefix, streamId)).catch((error) => {
        if (!(error instanceof AppError && error.code === 'topic_closed')) throw error
      })
      return state !== undefined && state.outcome === undefined
    },
  }
}

/** Whether a stream has ended as it should. What a producer has not ended has to be resumed, so that somebody sees the error. */
function isDone({ outcome }: RunInfo): boolean {
  return outcome === 'done' || outcome === 'stopped'
}

/** Publishes a stream to its end, or until somebody asks to stop. @throws the error that ended it, once readers have been told */
async function pump(source: ReadableStreamDefaultReader<string>, run: Run, writer: ChunkWriter): Promise<void> {
  const cancel = (reason: unknown) => void source.cancel(reason).catch(() => {}) // nobody reads the source any more
  const stopListening = whenGone(run.signal, () => cancel(run.signal.reason))
  try {
    for (let read = await source.read(); !read.done; read = await source.read()) await writer.write(read.value)
    const { aborted, reason } = run.signal
    if (aborted && (reason as AppError).code !== 'run_stopped') throw reason
    await writer.end({ outcome: aborted ? 'stopped' : 'done' })
  } catch (error) {
    cancel(error)
    await fail(run, writer).catch(() => {}) // the lease ends the run
    throw error
  } finally {
    stopListening()
    run.release()
  }
}

async function fail(run: Run, writer: ChunkWriter): Promise<void> {
  try {
    await writer.fail('Its source has failed')
  } finally {
    run.release()
  }
}

interface Reading {
  readonly streamId: string
  readonly skip?: number | undefined
  readonly signal: AbortSignal
}

/** The text of a stream from a character on. @throws AppError `run_failed`: the text is not whole; and those of `chunksOf` */
async function* textOf(runs: Runs, topic: string, { streamId, skip = 0, signal }: Reading): AsyncGenerator<string> {
  const failed = (why: string) => new AppError('run_failed', `Cannot read all of stream ${quote(streamId)}: ${why}`)
  let left = skip > 0 ? skip : 0 // neither negative nor NaN, as upstream takes what is no number
  let producers = 0
  for await (const piece of chunksOf(runs, topic, { signal })) {
    if (piece.kind === 'end') {
      if (piece.outcome === 'failed') throw failed(piece.detail ?? 'its producer has failed')
      if (piece.outcome === 'abandoned') throw failed('its producer has given no sign of life')
    } else if (piece.kind === 'start') {
      if (++producers > 1) throw failed('another producer has begun it anew')
    } else {
      if (left < piece.chunk.length) yield piece.chunk.slice(left)
      left = Math.max(0, left - piece.chunk.length)
    }
  }
}

/** A stream that is read as its reader wants more, and ends the iteration when its reader leaves. */
function streamOf(iterate: (signal: AbortSignal) => AsyncGenerator<string>): ReadableStream<string> {
  const control = new AbortController()
  const iteration = iterate(control.signal)
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await iteration.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        control.abort()
        await iteration.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}
