import type { Context } from 'hono'
import { AppError, quote } from '../errors.ts'
import { type BodyLimits, readBytes } from './bytes.ts'
import { type CloudEvents, cloudEventsOf, isCloudEvents } from './cloud-events.ts'
import { parseJson } from './json.ts'
import { boundaryOf, essenceOf, isJson, isText, refuseCharset } from './media-type.ts'
import { toFields } from './query.ts'

/** A request's body, parsed by its content type. */
export type Body =
  | { readonly kind: 'none' }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'form'; readonly fields: Record<string, string | string[]> }
  | { readonly kind: 'json'; readonly value: unknown; readonly text: string }
  | CloudEvents

/**
 * Reads a request's body, and parses it by its content type.
 *
 * @throws AppError of `readBytes`, `body_invalid`, `encoding_invalid`, `content_type_unsupported`, `too_many_fields`
 */
export async function readBody(c: Context, limits: BodyLimits): Promise<Body> {
  const bytes = await readBytes(c, limits)
  if (bytes.byteLength === 0) return { kind: 'none' }
  const type = c.req.raw.headers.get('content-type') ?? ''
  refuseCharset(type)
  const essence = essenceOf(type)
  if (isJson(essence)) {
    const text = decode(bytes).replace(/^\ufeff/, '') // RFC 8259, 8.1: a parser may ignore a byte order mark
    const value = parseJson(text)
    return isCloudEvents(essence) ? cloudEventsOf(essence, value, text) : { kind: 'json', value, text }
  }
  switch (essence) {
    case 'text/plain':
      return { kind: 'text', text: decode(bytes) }
    case 'application/x-www-form-urlencoded':
      return { kind: 'form', fields: parseForm(decode(bytes), limits) }
    case 'multipart/form-data':
      return { kind: 'form', fields: await parseMultipart(bytes, type, limits) }
  }
  throw new AppError(
    'content_type_unsupported',
    `Cannot read a body of type ${quote(type)}: expected application/json, application/x-www-form-urlencoded, multipart/form-data, text/plain, application/x-ndjson, text/event-stream or application/cloudevents+json; publish other texts with raw=true`,
  )
}

/**
 * Reads a request's body as one text, whatever its format.
 *
 * @throws AppError of `readBytes`, `encoding_invalid`, `content_type_unsupported` (not a text)
 */
export async function readText(c: Context, limits: BodyLimits): Promise<Body> {
  const bytes = await readBytes(c, limits)
  if (bytes.byteLength === 0) return { kind: 'none' }
  const type = c.req.raw.headers.get('content-type') ?? ''
  refuseCharset(type)
  if (isText(essenceOf(type))) return { kind: 'text', text: decode(bytes) }
  throw new AppError(
    'content_type_unsupported',
    `Cannot read a body of type ${quote(type)} as text: expected text, JSON, XML, YAML, a url-encoded form, or no Content-Type`,
  )
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new AppError('encoding_invalid', 'Cannot read the body: it is not UTF-8', { cause })
  }
}

// Both parsers of forms first count the values: parsing a value takes up to 8 µs (measured), and all are parsed in one turn.

function parseForm(text: string, { maxFormValues }: BodyLimits): Record<string, string | string[]> {
  if (countOf(text, '&') >= maxFormValues) throw tooManyValues(maxFormValues)
  try {
    decodeURIComponent(text)
  } catch (cause) {
    throw new AppError(
      'encoding_invalid',
      'Cannot read the form: it is not percent-encoded UTF-8, write % itself as %25',
      { cause },
    )
  }
  return toFields(new URLSearchParams(text))
}

async function parseMultipart(
  bytes: Uint8Array<ArrayBuffer>,
  type: string,
  { maxFormValues }: BodyLimits,
): Promise<Record<string, string | string[]>> {
  const text = `\n${new TextDecoder('latin1').decode(bytes)}`
  const delimiter = `\n--${boundaryOf(type)}`
  if (countOf(text, delimiter) > maxFormValues + 1) throw tooManyValues(maxFormValues) // the last delimiter ends the form
  for (const part of text.split(delimiter).slice(1)) refuseCharset(typeOfPart(part))
  let form: FormData
  try {
    form = await new Response(bytes, { headers: { 'content-type': type } }).formData()
  } catch (cause) {
    throw new AppError('body_invalid', 'Cannot read the body: it is not valid multipart/form-data', { cause })
  }
  const pairs: [string, string][] = []
  for (const [name, value] of form) {
    if (typeof value !== 'string')
      throw new AppError('body_invalid', `Cannot use file ${quote(name)}: a field holds text`)
    pairs.push([name, value])
  }
  decode(bytes) // refuses bytes that are not UTF-8, for which `formData` puts replacement characters
  return toFields(pairs)
}

/** Returns the content type of a part of a multipart body. */
function typeOfPart(part: string): string {
  const end = part.search(/\r?\n\r?\n/)
  return /^content-type:(.*)$/im.exec(part.slice(0, Math.max(0, end)))?.[1] ?? ''
}

function countOf(text: string, separator: string): number {
  let count = 0
  for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, at + separator.length)) count++
  return count
}

function tooManyValues(maxFormValues: number): AppError {
  return new AppError('too_many_fields', `Cannot read a form of more than ${maxFormValues} values`)
}
