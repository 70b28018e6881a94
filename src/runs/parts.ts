import { AppError, quote } from '../errors.ts'
import type { DeliveredEntry, DeliveredGap } from '../hub/delivered.ts'
import { utf8Length } from '../log/log.ts'
import type { OutcomeName } from '../log/runs.ts'
import { type ChunkBeginning, formatOffset, parseOffset } from './offset.ts'
import { type Part, PartialChunk } from './partial-chunk.ts'
import type { RunMessage, Runs } from './run.ts'

/*
 * How the chunks of a stream are entries. The first entry of a producer has the event `id`, and the id of the stream as JSON: a reader knows
 * by it that nothing before was trimmed, and that another producer begins. An entry of one or more whole chunks has the data `["chunk", …]`.
 * A chunk that is longer than an entry is split into entries with the event `part` and the data `{"i":0,"n":3,"text":"…"}`. All text is JSON,
 * because data of an event stream loses CR, and may hold no half of a surrogate pair, at which a chunk may end. Entries with other events are
 * not chunks. `ChunkWriter` (writer.ts) publishes chunks as they come.
 */

/** Most bytes of an entry's data, as `bytesOf` counts. An event and a body, whose limits are 63 KiB and 64 KiB by default, hold it. */
export const MAX_ENTRY_BYTES = 48 * 1024
/** Most parts of a chunk: 48 MiB of plain text. */
export const MAX_PARTS = 1024

const INTRODUCTION = 'id'
const PART = 'part'

/**
 * A producer begins, the first one or another; a chunk; or how the run has ended, which is the last item. A reader may go on after an offset.
 */
export type Piece =
  | { readonly kind: 'start'; readonly offset: string }
  | { readonly kind: 'chunk'; readonly offset: string; readonly chunk: string }
  | { readonly kind: 'end'; readonly outcome: OutcomeName; readonly detail?: string }

/** The bytes of a text as data of JSON in an envelope of JSON, which is its longest form. */
export function bytesOf(text: string): number {
  return utf8Length(JSON.stringify(JSON.stringify(text)))
}

/** What a producer publishes first: the id of its stream, as another program has given it (see `topicOf`). */
export function introductionOf(id: string): RunMessage {
  return { event: INTRODUCTION, data: JSON.stringify(id) }
}

/** An entry of whole chunks, each of which fits. */
export function whole(chunks: readonly string[]): RunMessage {
  return { data: JSON.stringify(chunks) }
}

/**
 * Splits a chunk that is longer than an entry.
 *
 * @throws AppError `event_too_large`: more than `MAX_PARTS`
 */
export function split(chunk: string, maxBytes = MAX_ENTRY_BYTES): readonly RunMessage[] {
  const texts = halves(chunk, maxBytes)
  if (texts.length > MAX_PARTS)
    throw new AppError(
      'event_too_large',
      `Cannot publish a chunk of ${chunk.length} characters: it would have ${texts.length} parts, at most ${MAX_PARTS} are allowed`,
    )
  return texts.map((text, i) => ({ event: PART, data: JSON.stringify({ i, n: texts.length, text }) }))
}

/** Halves a text until each piece fits, which is simpler than the fewest pieces, and makes at most twice as many. */
function halves(text: string, maxBytes: number): readonly string[] {
  if (text.length < 2 || bytesOf(text) <= maxBytes) return [text]
  const middle = text.length >> 1
  return [...halves(text.slice(0, middle), maxBytes), ...halves(text.slice(middle), maxBytes)]
}

/**
 * Reads the chunks of a topic, as they were before they were joined or split, and how the run has ended. Ends without an end if `signal`
 * aborts. A chunk whose producer has gone before its last part is left out.
 *
 * The offset of a chunk is the id of its entry, or of its last part. If other chunks follow in its entry, it is `id.index`.
 *
 * @param options.after reads the chunks after this offset, else all chunks
 * @throws AppError `gap` (entries cannot be delivered any more, or the first one is no introduction), `parameter_invalid` (no offset),
 *   `message_invalid` (entries of another form), and those of `Runs.entries`
 * @example
 * for await (const piece of chunksOf(runs(hub), 'ai/answer-1')) if (piece.kind === 'chunk') console.log(piece.chunk)
 */
export async function* chunksOf(
  runs: Pick<Runs, 'entries'>,
  topic: string,
  { after, signal }: { readonly after?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Piece, void, undefined> {
  const from = after === undefined ? undefined : beginningOf(after)
  const entries = runs.entries(topic, { ...(from && { after: from.after }), ...(signal && { signal }) })
  let skip = from?.skip ?? 0
  const partial = new PartialChunk()
  let isWhole = from !== undefined
  let isEnded = false
  for await (const item of entries) {
    if (signal?.aborted) return
    if (item.kind === 'gap') throw gapError(topic, item)
    isWhole ||= item.event === INTRODUCTION || item.outcome === 'failed' || item.outcome === 'abandoned'
    if (!isWhole) throw gapError(topic, { from: null, to: item.id, reason: 'trimmed' })
    if (item.event === INTRODUCTION) {
      partial.clear()
      yield { kind: 'start', offset: item.id }
    } else if (item.event === PART) {
      const chunk = partial.take(parsePart(item))
      if (chunk !== undefined) yield { kind: 'chunk', offset: item.id, chunk }
    } else if (item.event === 'message' && item.data !== undefined) {
      const chunks = parseWhole(item)
      partial.clear()
      // After the id of the entry that closes the topic, a reader would get no end.
      const last = item.close ? chunks.length : chunks.length - 1
      for (const [i, chunk] of chunks.entries())
        if (i >= skip) yield { kind: 'chunk', offset: formatOffset(item.id, i, i === last), chunk }
    }
    skip = 0
    isEnded ||= item.close === true
    if (item.close) yield endOf(item)
  }
  if (!isEnded && !signal?.aborted) throw gapError(topic, { from: after ?? null, to: 'its end', reason: 'trimmed' })
}

/** @throws AppError `parameter_invalid` */
function beginningOf(offset: string): ChunkBeginning {
  const beginning = parseOffset(offset)
  if (beginning) return beginning
  throw new AppError('parameter_invalid', `Cannot use ${quote(offset)} as an offset: expected id or id.index`)
}

function parsePart(entry: DeliveredEntry): Part {
  const { i, n, text } = parse(entry) as { i?: unknown; n?: unknown; text?: unknown }
  const isPart = Number.isInteger(i) && Number.isInteger(n) && Number(n) <= MAX_PARTS && typeof text === 'string'
  if (!isPart) throw formError(entry)
  return { i: i as number, n: n as number, text }
}

function parseWhole(entry: DeliveredEntry): readonly string[] {
  const chunks = parse(entry)
  if (!Array.isArray(chunks) || !chunks.every((chunk) => typeof chunk === 'string')) throw formError(entry)
  return chunks
}

/** The JSON of an entry, which is an object. */
function parse(entry: DeliveredEntry): object {
  let value: unknown
  try {
    value = JSON.parse(entry.data!)
  } catch (cause) {
    throw formError(entry, cause)
  }
  if (typeof value !== 'object' || value === null) throw formError(entry)
  return value
}

function endOf({ outcome = 'done', detail }: DeliveredEntry): Piece {
  return { kind: 'end', outcome, ...(detail !== undefined && { detail }) }
}

function formError({ id, topic }: DeliveredEntry, cause?: unknown): AppError {
  const message = `Cannot read entry ${id} of ${quote(topic)} as chunks: its data has another form`
  return new AppError('message_invalid', message, { cause })
}

function gapError(topic: string, { from, to, reason }: Pick<DeliveredGap, 'from' | 'to' | 'reason'>): AppError {
  return new AppError(
    'gap',
    `Cannot read all of ${quote(topic)}: entries after ${from ?? 'the beginning'} up to ${to} are gone (${reason})`,
  )
}
