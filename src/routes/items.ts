import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { AppError } from '../errors.ts'
import { Pieces } from './bytes.ts'
import { isCutJson, parseJson } from './json.ts'

/** Stands for an item whose beginning came, but not its end. */
export const INCOMPLETE = Symbol('incomplete')

/**
 * The items of a body that streams, in groups of what came together. An item that cannot be read is the error that says why, and
 * the last one; a body that ends inside an item has `INCOMPLETE` as its last one.
 */
export type Items = AsyncIterable<readonly unknown[]>

/**
 * One item a line (https://github.com/ndjson/ndjson-spec); empty lines are none. The last line may go without its line end if it is
 * complete JSON.
 */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>, maxItemBytes: number): Items {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const rest = new Pieces()
  const take = (line: Uint8Array): unknown => {
    if (line.byteLength > maxItemBytes) return tooLarge(maxItemBytes)
    try {
      const text = decoder.decode(line)
      return text.trim() === '' ? undefined : parseJson(text)
    } catch (error) {
      if (error instanceof AppError) return error
      return new AppError('encoding_invalid', 'Cannot read the line: it is not UTF-8', { cause: error })
    }
  }
  for await (const chunk of bytes) {
    const items: unknown[] = []
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      rest.push(chunk.subarray(start, end))
      const item = take(rest.take())
      start = end + 1
      if (item !== undefined) items.push(item)
      if (item instanceof AppError) break
    }
    if (start < chunk.byteLength) rest.push(chunk.subarray(start))
    if (rest.length > maxItemBytes && !(items.at(-1) instanceof AppError)) items.push(tooLarge(maxItemBytes))
    if (items.length > 0) yield items
  }
  const last = rest.take()
  const item = isCut(last) ? INCOMPLETE : take(last)
  if (item !== undefined) yield [item]
}

/** Whether a line that has no line end stops inside its JSON, or inside a character. What is not UTF-8 at all is not cut but wrong. */
function isCut(line: Uint8Array): boolean {
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
    return isCutJson(text)
  }
}

/** Whether the bytes that a decoder was given so far end inside a character. */
function endsInCharacter(decoder: TextDecoder): boolean {
  try {
    decoder.decode()
    return false
  } catch {
    return true
  }
}

/**
 * One item an event (HTML, 9.2.6). Its id and its reconnection time are of the stream that it came by and are left there; a name
 * that is ours to give becomes `upstream.<name>`. What is cut off before its blank line is no event but incomplete, once it has an
 * id, a name or data: a `retry` alone is how streams end.
 */
export async function* eventsOf(bytes: AsyncIterable<Uint8Array>, maxItemBytes: number): Items {
  const events: EventSourceMessage[] = []
  let failure: AppError | undefined
  /** The first character of a line that has no line end yet. */
  let unended = ''
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const parser = createParser({
    maxBufferSize: maxItemBytes,
    onEvent: (event) => events.push(event),
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') failure = tooLarge(maxItemBytes)
    },
  })
  for await (const chunk of bytes) {
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
  // Flush the parser: the event that comes of one more `data` line and a blank line shows whether one had begun. It is not published.
  parser.feed(unended === '' ? 'data\n\n' : '\ndata\n\n')
  const isInLine = unended !== '' && unended !== ':'
  if (endsInCharacter(decoder) || isInLine || isBegun(events[0])) yield [INCOMPLETE]
}

/** Whether a flushed event says more than the `data` line of the flush. None comes where it became longer than the parser takes. */
function isBegun(event: EventSourceMessage | undefined): boolean {
  return event === undefined || event.id !== undefined || event.event !== undefined || event.data !== ''
}

/** The first character of the line that a text ends with, if that line has no line end. @param before the same of the text before */
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
