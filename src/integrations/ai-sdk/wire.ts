import { type Part, PartialChunk } from '../../runs/partial-chunk.ts'

/*
 * The wire of the AI SDK (https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol): an event stream without ids, whose data are chunks of JSON and
 * at last `[DONE]`. In the topic of a run, an entry has one chunk as it is, or several, one a line: JSON has no line breaks. A chunk that is
 * longer than an entry may be is several entries with the event `part`, see `runs/parts.ts`.
 */

/** The data that ends an answer. */
export const DONE = '[DONE]'

/** The headers of an answer, those of the AI SDK. */
export const WIRE_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache',
  connection: 'keep-alive',
  'x-vercel-ai-ui-message-stream': 'v1',
  'x-accel-buffering': 'no',
}

/** The headers with the topic of an answer, and with a position before its first entry: without that, nobody sees that a beginning is gone. */
export const TOPIC_HEADER = 'tidings-topic'
export const AFTER_HEADER = 'tidings-after'

/** A comment that keeps a silent connection alive. */
export const KEEP_ALIVE = ': keep-alive\n\n'

/** How a run has ended, as `hub.closed` and a closing entry say it. */
export interface End {
  readonly outcome?: 'done' | 'failed' | 'stopped' | 'abandoned'
  readonly detail?: string
}

/** An event of the wire. @param id only for readers that ask for ids */
export function frame(data: string, id?: string): string {
  return id === undefined ? `data: ${data}\n\n` : `id: ${id}\ndata: ${data}\n\n`
}

export function errorChunk(errorText: string): string {
  return JSON.stringify({ type: 'error', errorText })
}

/** What is said to a reader when part of an answer is no longer kept. */
export const GAP = errorChunk('Part of the answer is no longer kept')

/** Why an answer has failed whose producer has died. */
export const CUT_OFF = 'The answer was cut off: its producer has disappeared'

/** The chunks that end an answer whose producer has not said `[DONE]` itself: a cut answer ends with an error, never in silence. */
export function endingOf({ outcome = 'done', detail }: End): readonly string[] {
  if (outcome === 'done') return [DONE]
  if (outcome === 'stopped') return [JSON.stringify({ type: 'abort' }), DONE]
  const why = outcome === 'failed' ? 'The answer has failed' : CUT_OFF
  return [errorChunk(detail ?? why), DONE]
}

/** Puts the chunks of entries together again. */
export class Chunks {
  readonly #partial = new PartialChunk()
  /** Whether the answer has ended as its producer ends it. */
  isDone = false

  /** The chunks that an entry completes. */
  take({
    event = 'message',
    data,
  }: {
    readonly event?: string | undefined
    readonly data?: string
  }): readonly string[] {
    if (data === undefined) return []
    if (event === 'part') {
      const chunk = this.#partial.take(JSON.parse(data) as Part)
      return chunk === undefined ? [] : [chunk]
    }
    if (event !== 'message') return []
    this.#partial.clear()
    const chunks = data.split('\n')
    this.isDone = chunks.at(-1) === DONE
    return chunks
  }
}
