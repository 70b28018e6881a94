import { createParser } from 'eventsource-parser'
import { AppError } from '../errors.ts'
import { Pieces } from './bytes.ts'
import { parseJson } from './json.ts'

/**
 * The items of a body that streams, in groups of what came together. An item that cannot be read is the error that says why, and
 * the last one.
 */
export type Items = AsyncIterable<readonly unknown[]>

/** One item a line (https://github.com/ndjson/ndjson-spec); empty lines are none. */
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
  const item = take(rest.take())
  if (item !== undefined) yield [item]
}

/**
 * One item an event (HTML, 9.2.6). Its id and its reconnection time are of the stream that it came by and are left there; a name
 * that is ours to give becomes `upstream.<name>`. What is cut off before its blank line is no event.
 */
export async function* eventsOf(bytes: AsyncIterable<Uint8Array>, maxItemBytes: number): Items {
  let items: unknown[] = []
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const parser = createParser({
    maxBufferSize: maxItemBytes,
    onEvent: ({ event, data }) =>
      items.push({ data, ...(event && { event: isReserved(event) ? `upstream.${event}` : event }) }),
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') items.push(tooLarge(maxItemBytes))
    },
  })
  for await (const chunk of bytes) {
    try {
      parser.feed(decoder.decode(chunk, { stream: true }))
    } catch (cause) {
      items.push(new AppError('encoding_invalid', 'Cannot read the stream: it is not UTF-8', { cause }))
    }
    if (items.length > 0) yield items
    items = []
  }
}

function isReserved(event: string): boolean {
  return event === 'open' || event === 'error' || event.startsWith('hub.')
}

function tooLarge(maxItemBytes: number): AppError {
  return new AppError('body_too_large', `Cannot read an item of more than ${maxItemBytes} bytes`)
}
