import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { Context } from 'hono'
import { AppError } from '../errors.ts'
import { readChunks, type StreamLimits } from './bytes.ts'
import { ChunkBuffer } from './chunks.ts'
import { isTruncatedJson, parseJson } from './json.ts'
import { essenceOf, refuseCharset } from './media-type.ts'
import { messageAsWritten } from './written.ts'

/** Stands for an item that the end of the body cuts off. */
export const INCOMPLETE = Symbol('incomplete')

/**
 * The items of a body that streams, in groups that arrived together. The error of an unreadable item takes its place and is the last
 * item; `INCOMPLETE` is the last item of a body that ends inside an item.
 */
export type Items = AsyncIterable<readonly unknown[]>

/**
 * Reads the items of an NDJSON or event stream body while it arrives; undefined for other content types.
 *
 * @throws AppError of `readChunks` and `refuseCharset`; the items may hold `body_invalid`, `body_too_large`, `encoding_invalid` and `stream_too_long`
 */
export function readItems(c: Context, limits: StreamLimits & { readonly maxItemBytes: number }): Items | undefined {
  const contentType = c.req.raw.headers.get('content-type') ?? ''
  const type = essenceOf(contentType)
  const parse = type === 'application/x-ndjson' ? parseLines : type === 'text/event-stream' ? parseEvents : undefined
  if (parse) refuseCharset(contentType)
  return parse && bounded(parse(readChunks(c, limits), limits.maxItemBytes), limits.maxStreamItems)
}

async function* bounded(items: Items, maxItems: number): Items {
  let count = 0
  for await (const group of items) {
    count += group.at(-1) === INCOMPLETE ? group.length - 1 : group.length
    if (count <= maxItems) yield group
    else {
      const error = new AppError(
        'stream_too_long',
        `Cannot publish more than ${maxItems} items of one stream: send the rest in another request`,
      )
      yield [...group.slice(0, maxItems - count), error]
    }
  }
}

/**
 * Yields an item for each line (https://github.com/ndjson/ndjson-spec), and skips empty lines. The last line needs no line end if it
 * is complete JSON.
 */
async function* parseLines(chunks: AsyncIterable<Uint8Array>, maxItemBytes: number): Items {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const rest = new ChunkBuffer()
  const parse = (line: Uint8Array): unknown => {
    if (line.byteLength > maxItemBytes) return tooLarge(maxItemBytes)
    try {
      const text = decoder.decode(line)
      return text.trim() === '' ? undefined : messageAsWritten(parseJson(text), text)
    } catch (error) {
      if (error instanceof AppError) return error
      return new AppError('encoding_invalid', 'Cannot read the line: it is not UTF-8', { cause: error })
    }
  }
  for await (const chunk of chunks) {
    const items: unknown[] = []
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      rest.push(chunk.subarray(start, end))
      const item = parse(rest.take())
      start = end + 1
      if (item !== undefined) items.push(item)
      if (item instanceof AppError) break
    }
    if (start < chunk.byteLength) rest.push(chunk.subarray(start))
    if (rest.length > maxItemBytes && !(items.at(-1) instanceof AppError)) items.push(tooLarge(maxItemBytes))
    if (items.length > 0) yield items
  }
  const last = rest.take()
  const item = isTruncatedLine(last) ? INCOMPLETE : parse(last)
  if (item !== undefined) yield [item]
}

/** Whether a line without a line end stops inside its JSON or inside a character. Bytes that no UTF-8 begins with are invalid, not cut. */
function isTruncatedLine(line: Uint8Array): boolean {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text: string
  try {
    text = decoder.decode(line, { stream: true })
  } catch {
    return false
  }
  if (endsInCharacter(decoder)) return true
  try {
    if (text.trim() !== '') JSON.parse(text)
    return false
  } catch {
    return isTruncatedJson(text)
  }
}

/** Whether the bytes that a decoder has received end inside a character. */
function endsInCharacter(decoder: TextDecoder): boolean {
  try {
    decoder.decode()
    return false
  } catch {
    return true
  }
}

/**
 * Yields an item for each event (HTML, 9.2.6), without its id and its reconnection time, which belong to the stream it came from. The
 * prefix `upstream.` marks event names that are reserved for the hub. An event without its blank line is incomplete if it has an id, a
 * name or data; a `retry` alone is how streams end.
 */
async function* parseEvents(chunks: AsyncIterable<Uint8Array>, maxItemBytes: number): Items {
  const events: EventSourceMessage[] = []
  let failure: AppError | undefined
  /** The first character of the line that has no line end yet. */
  let unended = ''
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const parser = createParser({
    maxBufferSize: maxItemBytes,
    onEvent: (event) => events.push(event),
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') failure = tooLarge(maxItemBytes)
    },
  })
  for await (const chunk of chunks) {
    try {
      const text = decoder.decode(chunk, { stream: true })
      parser.feed(text)
      unended = unendedLine(text, unended)
    } catch (cause) {
      failure ??= new AppError('encoding_invalid', 'Cannot read the stream: it is not UTF-8', { cause })
    }
    const items: unknown[] = events.splice(0).map(itemOf)
    if (failure) items.push(failure)
    if (items.length > 0) yield items
  }
  // One more `data` line and a blank line flush the parser: the resulting event, never published, shows whether one had begun.
  parser.feed(unended === '' ? 'data\n\n' : '\ndata\n\n')
  const isInLine = unended !== '' && unended !== ':'
  if (endsInCharacter(decoder) || isInLine || isBegun(events[0])) yield [INCOMPLETE]
}

/** Whether a flushed event holds more than the `data` line of the flush; undefined is an event that has outgrown the parser. */
function isBegun(event: EventSourceMessage | undefined): boolean {
  return event === undefined || event.id !== undefined || event.event !== undefined || event.data !== ''
}

/** Returns the first character of a text's last line if the line has no line end. @param before the same of the text before */
function unendedLine(text: string, before: string): string {
  const end = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r'))
  return end < 0 ? before || text.charAt(0) : text.charAt(end + 1)
}

function itemOf({ event, data }: EventSourceMessage): unknown {
  return { data, ...(event && { event: isReserved(event) ? `upstream.${event}` : event }) }
}

function isReserved(event: string): boolean {
  return event === 'open' || event === 'error' || event.startsWith('hub.')
}

function tooLarge(maxItemBytes: number): AppError {
  return new AppError('body_too_large', `Cannot read an item of more than ${maxItemBytes} bytes`)
}
