import { createParser } from 'eventsource-parser'
import { whenGone } from '../../client-gone.ts'
import { AppError } from '../../errors.ts'
import type { OutcomeName } from '../../log/runs.ts'
import type { Run } from '../../runs/run.ts'
import { ChunkWriter, detailOf, type JoinOptions } from '../../runs/writer.ts'
import { DONE } from './wire.ts'

/** How long the stream of an answer may go on after somebody has asked to stop, in ms: time for the model to notice and say so. */
const STOP_WAIT_MS = 2000

/**
 * Publishes an answer of the AI SDK in a run, and ends the run: as `done` with `[DONE]`; as `failed` if the answer has an error, or ends
 * without `[DONE]`; as `stopped` if somebody has asked for that.
 *
 * @param sse the event stream that `consumeSseStream` is given
 * @throws AppError `run_lost`, and those of `Run.publish` that trying again cannot help; then the run ends when its lease does
 */
export async function record(
  run: Run,
  sse: ReadableStream<string>,
  join: JoinOptions | undefined,
): Promise<OutcomeName> {
  const writer = new ChunkWriter(run, undefined, join, (chunks) => ({ data: chunks.join('\n') }))
  const { isDone, failure } = await hear(sse, run.signal, writer)
  const outcome = codeOf(run.signal) === 'run_stopped' ? 'stopped' : failure === undefined ? 'done' : 'failed'
  await writer.end({
    outcome,
    ...(isDone && { data: DONE }),
    ...(outcome === 'failed' && { detail: detailOf(failure!) }),
  })
  return outcome
}

interface Heard {
  /** Whether the stream has said `[DONE]`. */
  isDone: boolean
  /** Why the answer is not what was asked for. */
  failure?: string
}

/** Writes the stream of an answer: to its end, a while longer than a stop is asked, or until the run is lost. */
async function hear(sse: ReadableStream<string>, signal: AbortSignal, writer: ChunkWriter): Promise<Heard> {
  const heard: Heard = { isDone: false }
  const events: string[] = []
  const parser = createParser({ onEvent: ({ data }) => void events.push(data) })
  const reader = sse.getReader()
  const cancel = () => void reader.cancel().catch(() => {}) // a stream that has failed rejects
  const stopListening = whenCut(signal, cancel)
  try {
    while (!heard.isDone) {
      const read = await reader.read()
      if (read.done) break
      parser.feed(read.value)
      for (const chunk of events.splice(0)) {
        heard.isDone = chunk === DONE
        if (heard.isDone) break
        await writer.write(chunk)
        const errorText = errorTextOf(chunk)
        if (errorText !== undefined) heard.failure ??= errorText
      }
    }
    if (!heard.isDone) heard.failure ??= 'The answer has ended before its last event'
  } catch {
    heard.failure ??= 'The stream of the answer has failed' // the application knows the error, which may hold secrets
  } finally {
    stopListening()
    cancel()
  }
  return heard
}

/** Calls `call` when no more may be read: a while after a stop was asked, or once the run is lost. @returns a function that stops listening */
function whenCut(signal: AbortSignal, call: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  const stopListening = whenGone(signal, () => {
    timer = setTimeout(call, codeOf(signal) === 'run_stopped' ? STOP_WAIT_MS : 0)
  })
  return () => {
    stopListening()
    clearTimeout(timer)
  }
}

function codeOf({ reason }: AbortSignal): string | undefined {
  return reason instanceof AppError ? reason.code : undefined
}

/** The text of an `error` chunk; undefined for other chunks. */
function errorTextOf(chunk: string): string | undefined {
  if (!chunk.startsWith('{"type":"error"')) return
  const { errorText } = JSON.parse(chunk) as { errorText?: unknown }
  return typeof errorText === 'string' ? errorText : 'The answer has failed'
}
