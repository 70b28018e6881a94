import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { Context } from 'hono'
import { AppError } from '../errors.ts'
import { TURN_MS, Turns } from '../turn.ts'
import { ChunkBuffer } from './chunks.ts'
import { isTruncatedJson, parseJson } from './json.ts'
import { essenceOf, refuseCharset } from './media-type.ts'
import { StreamedBody, type StreamLimits } from './streamed-body.ts'
import { copied, messageAsWritten } from './written.ts'

/** Stands for an item that is incomplete because the body ended inside it. */
export const INCOMPLETE = Symbol('incomplete')

/** The items of a streamed body. Only the items that `next` returns are parsed; the rest of the body stays bytes. */
export interface Items {
  /** Whether the items are the events of an event stream, and not lines of NDJSON. */
  readonly isEventStream: boolean
  /** Aborts when no further item may be published, because the client has disconnected or the time of the body is over. */
  readonly signal: AbortSignal
  /**
   * Waits for items, and resolves with at least one and at most `max`; with undefined at the end of the body. An unreadable item is
   * replaced by its error, which is the last item. `INCOMPLETE` is the last item of a body that ends inside an item.
   *
   * @throws AppError of `StreamedBody.take`
   */
  next(max: number): Promise<readonly unknown[] | undefined>
  /** How many bytes of the body have arrived. */
  readonly received: number
  /** Whether items that have arrived wait to be parsed or published: the client may be waiting for the hub, and sends nothing then. */
  readonly isBehind: boolean
  /** Ends the body: `next` rejects with the reason. */
  end(reason: AppError): void
  /** Stops reading the body. */
  close(): void
}

/** Parses the items of one content type. Keeps the bytes of an item that is not complete for the next call of `parse` or `end`. */
interface Parser {
  readonly isEventStream: boolean
  /** Returns how many of the bytes to parse for at most `max` items: all, or those up to the end of item `max`. */
  lengthOf(bytes: Uint8Array, max: number): number
  /** Returns the items that end in these bytes. */
  parse(bytes: Uint8Array): unknown[]
  /** Returns the item that the end of the body completes, or `INCOMPLETE` if the body ends inside an item, or undefined. */
  end(): unknown
}

/**
 * Reads the items of an NDJSON or event stream body while it arrives; undefined for other content types.
 *
 * @throws AppError of `StreamedBody` and `refuseCharset`; the items may hold `body_invalid`, `body_too_large`, `encoding_invalid` and `stream_too_long`
 */
export function readItems(c: Context, limits: StreamLimits & { readonly maxItemBytes: number }): Items | undefined {
  const contentType = c.req.raw.headers.get('content-type') ?? ''
  const type = essenceOf(contentType)
  const makeParser = Object.hasOwn(parsers, type) ? parsers[type] : undefined
  if (makeParser) refuseCharset(contentType)
  return (
    makeParser && new ParsedItems(new StreamedBody(c, limits), makeParser(limits.maxItemBytes), limits.maxStreamItems)
  )
}

/** The format of an item, by content type. `application/ndjson` is what clients send that know no registered name: there is none. */
const parsers: Readonly<Record<string, (maxItemBytes: number) => Parser>> = {
  'application/x-ndjson': lineParser,
  'application/ndjson': lineParser,
  'text/event-stream': eventParser,
}

/** Bodies with many bytes and few items, which take long to parse, share turns of the event loop. */
const turns = new Turns()

class ParsedItems implements Items {
  readonly #body: StreamedBody
  readonly #parser: Parser
  readonly #maxItems: number
  #left: number
  #hasEnded = false

  constructor(body: StreamedBody, parser: Parser, maxItems: number) {
    this.#body = body
    this.#parser = parser
    this.#maxItems = this.#left = maxItems
  }

  get isEventStream(): boolean {
    return this.#parser.isEventStream
  }

  get signal(): AbortSignal {
    return this.#body.signal
  }

  async next(max: number): Promise<readonly unknown[] | undefined> {
    const wanted = Math.min(max, this.#left + 1) // one item above the limit shows that the body is too long
    let began = performance.now()
    while (!this.#hasEnded) {
      const items = await this.#parseNext(wanted)
      if (items.length > 0) return this.#bounded(items)
      if (performance.now() - began < TURN_MS) continue
      await turns.next()
      began = performance.now()
    }
    return
  }

  get received(): number {
    return this.#body.received
  }

  get isBehind(): boolean {
    return !this.#body.isAwaited
  }

  end(reason: AppError): void {
    this.#body.end(reason)
  }

  close(): void {
    this.#body.close()
  }

  async #parseNext(max: number): Promise<unknown[]> {
    const bytes = await this.#body.take((bytes) => this.#parser.lengthOf(bytes, max))
    if (bytes) return this.#parser.parse(bytes)
    this.#hasEnded = true
    const last = this.#parser.end()
    return last === undefined ? [] : [last]
  }

  #bounded(items: readonly unknown[]): readonly unknown[] {
    const left = this.#left
    this.#left -= items.at(-1) === INCOMPLETE ? items.length - 1 : items.length
    if (this.#left >= 0) return items
    const error = new AppError(
      'stream_too_long',
      `Cannot publish more than ${this.#maxItems} items of one stream: send the rest in another request`,
    )
    return [...items.slice(0, left), error]
  }
}

const LF = 10
const CR = 13

/**
 * Parses each line as an item (https://github.com/ndjson/ndjson-spec), and skips empty lines. A last line that is complete JSON needs no
 * line end.
 */
function lineParser(maxItemBytes: number): Parser {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  /** The beginning of a line whose end has not arrived. */
  const rest = new ChunkBuffer()
  const parseLine = (line: Uint8Array): unknown => {
    if (line.byteLength > maxItemBytes) return tooLarge(maxItemBytes)
    try {
      const text = decoder.decode(line)
      return text.trim() === '' ? undefined : messageAsWritten(parseJson(text), text)
    } catch (error) {
      if (error instanceof AppError) return error
      return new AppError('encoding_invalid', 'Cannot read the line: it is not UTF-8', { cause: error })
    }
  }
  /** Returns the whole line whose last bytes are `end`. */
  const restOfLine = (end: Uint8Array): Uint8Array => {
    if (rest.length === 0) return end
    rest.push(end)
    return rest.take()
  }
  return {
    isEventStream: false,
    lengthOf(bytes, max) {
      let end = 0
      for (let lines = 0; lines < max; lines++) {
        const lineEnd = bytes.indexOf(LF, end)
        if (lineEnd < 0) return bytes.byteLength
        end = lineEnd + 1
      }
      return end
    },
    parse(bytes) {
      const items: unknown[] = []
      let start = 0
      for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
        const item = parseLine(restOfLine(bytes.subarray(start, end)))
        start = end + 1
        if (item !== undefined) items.push(item)
        if (item instanceof AppError) return items
      }
      if (start < bytes.byteLength) rest.push(bytes.subarray(start))
      if (rest.length > maxItemBytes) items.push(tooLarge(maxItemBytes))
      return items
    },
    end() {
      const last = rest.take()
      return isTruncatedLine(last) ? INCOMPLETE : parseLine(last)
    },
  }
}

/** Whether a line without a line end stops inside its JSON or inside a character. A line with invalid UTF-8 does not count as cut off. */
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
 * Parses each event as an item (HTML, 9.2.6).
 *
 * - The id and the reconnection time are left out: they belong to the stream that the event came from.
 * - Event names that are reserved for the hub get the prefix `upstream.`.
 * - A last event without its blank line is incomplete if it has an id, a name or data. A `retry` line alone is how streams end.
 * - A last line without its end is incomplete, unless it is a comment.
 */
function eventParser(maxItemBytes: number): Parser {
  const events: EventSourceMessage[] = []
  let failure: AppError | undefined
  /** The first character of a line whose end has not arrived; empty without such a line. */
  let unended = ''
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const parser = createParser({
    maxBufferSize: maxItemBytes,
    onEvent: (event) => events.push(event),
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') failure = tooLarge(maxItemBytes)
    },
  })
  return {
    isEventStream: true,
    lengthOf: lengthOfEvents,
    parse(bytes) {
      try {
        const text = decoder.decode(bytes, { stream: true })
        parser.feed(text)
        unended = unendedLine(text, unended)
      } catch (cause) {
        failure ??= new AppError('encoding_invalid', 'Cannot read the stream: it is not UTF-8', { cause })
      }
      const items: unknown[] = events.splice(0).map(itemOf)
      if (failure) items.push(failure)
      return items
    },
    end() {
      // A `data` line and a blank line make the parser return the event that has begun, if there is one. It is never published.
      parser.feed(unended === '' ? 'data\n\n' : '\ndata\n\n')
      const isInLine = unended !== '' && unended !== ':'
      return endsInCharacter(decoder) || isInLine || isBegun(events[0]) ? INCOMPLETE : undefined
    },
  }
}

/** Returns how many bytes end with the blank line of event `max`, or all. A line end at the beginning counts as a blank line. */
function lengthOfEvents(bytes: Uint8Array, max: number): number {
  let blankLines = 0
  let isLineStart = true
  for (let i = 0; i < bytes.byteLength; i++) {
    const byte = bytes[i]
    if (byte === LF && i > 0 && bytes[i - 1] === CR) continue
    const isLineEnd = byte === LF || byte === CR
    if (isLineEnd && isLineStart && ++blankLines === max) return i + 1
    isLineStart = isLineEnd
  }
  return bytes.byteLength
}

/** Whether an event holds more than the `data` line that `end` has added. Undefined is an event that was too large for the parser. */
function isBegun(event: EventSourceMessage | undefined): boolean {
  return event === undefined || event.id !== undefined || event.event !== undefined || event.data !== ''
}

/**
 * Returns the first character of the last line if the line has no line end; otherwise an empty string.
 *
 * @param text the newest text of a stream
 * @param before the result for the text before
 */
function unendedLine(text: string, before: string): string {
  const end = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r'))
  return end < 0 ? before || text.charAt(0) : text.charAt(end + 1)
}

function itemOf({ event, data }: EventSourceMessage): unknown {
  return { data: copied(data), ...(event && { event: isReserved(event) ? `upstream.${event}` : copied(event) }) }
}

function isReserved(event: string): boolean {
  return event === 'open' || event === 'error' || event.startsWith('hub.')
}

function tooLarge(maxItemBytes: number): AppError {
  return new AppError('body_too_large', `Cannot read an item of more than ${maxItemBytes} bytes`)
}
