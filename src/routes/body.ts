import { AppError, quote } from '../errors.ts'
import { toFields } from './query.ts'

/** A request's body, by its content type. */
export type Body =
  | { readonly kind: 'none' }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'form'; readonly fields: Record<string, string | string[]> }
  | { readonly kind: 'json'; readonly value: unknown }

/** Deepest nesting of a JSON body. */
const MAX_DEPTH = 32

/**
 * Reads a body of a known content type, at most `maxBytes` of it, and never more than that into memory.
 *
 * @throws AppError `body_too_large`, `body_invalid`, `encoding_invalid`, `content_type_unsupported`
 */
export async function readBody(request: Request, maxBytes: number): Promise<Body> {
  const encoding = request.headers.get('content-encoding')
  if (encoding && encoding !== 'identity')
    throw new AppError(
      'content_type_unsupported',
      `Cannot read a body with content-encoding ${quote(encoding)}: send it uncompressed`,
    )
  const bytes = await readBytes(request, maxBytes)
  if (bytes.byteLength === 0) return { kind: 'none' }
  const type = request.headers.get('content-type') ?? ''
  switch (type.split(';')[0]!.trim().toLowerCase()) {
    case 'application/json':
      return { kind: 'json', value: parseJson(decode(bytes)) }
    case 'text/plain':
      return { kind: 'text', text: decode(bytes) }
    case 'application/x-www-form-urlencoded':
      return { kind: 'form', fields: parseForm(decode(bytes)) }
    case 'multipart/form-data':
      return { kind: 'form', fields: await parseMultipart(bytes, type) }
  }
  throw new AppError(
    'content_type_unsupported',
    `Cannot read a body of type ${quote(type)}: expected application/json, application/x-www-form-urlencoded, multipart/form-data or text/plain`,
  )
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => new AppError('body_too_large', `Cannot read a body of more than ${maxBytes} bytes`)
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge()
  if (!request.body) return new Uint8Array()
  const pieces: Uint8Array[] = []
  let length = 0
  // The declared length may lie, and a chunked body declares none: what counts is what comes. The reader is left, not
  // cancelled, when it is too much: cancelling closes the connection before the answer is out.
  const reader = request.body.getReader()
  const next = () =>
    reader.read().catch((cause) => {
      throw new AppError('body_invalid', 'Cannot read the body: it was cut off', { cause })
    })
  for (let read = await next(); !read.done; read = await next()) {
    length += read.value.byteLength
    if (length > maxBytes) throw tooLarge()
    pieces.push(read.value)
  }
  if (pieces.length === 1) return pieces[0] as Uint8Array<ArrayBuffer>
  const bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.byteLength
  }
  return bytes
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new AppError('encoding_invalid', 'Cannot read the body: it is not UTF-8', { cause })
  }
}

function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AppError('body_invalid', 'Cannot read the body: it is not valid JSON', { cause })
  }
  if (isDeeper(value, MAX_DEPTH))
    throw new AppError('body_invalid', `Cannot read the body: its JSON is nested deeper than ${MAX_DEPTH}`)
  return value
}

/** Level by level, because recursion is what deep nesting is sent to break. */
function isDeeper(value: unknown, depth: number): boolean {
  let level = [value]
  for (let i = 0; i <= depth; i++) {
    level = level.filter((v) => typeof v === 'object' && v !== null).flatMap((v) => Object.values(v as object))
    if (level.length === 0) return false
  }
  return true
}

function parseForm(text: string): Record<string, string | string[]> {
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
): Promise<Record<string, string | string[]>> {
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
  return toFields(pairs)
}
