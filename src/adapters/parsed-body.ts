import type { IncomingMessage } from 'node:http'
import { AppError } from '../errors.ts'

/** What body parsers leave at a request whose body they have read. */
interface Parsed {
  /** The bytes, where a parser was told to keep them. */
  readonly rawBody?: unknown
  /** A value, a text or bytes. */
  readonly body?: unknown
}

/** Returns what makes the body that a framework has read; undefined if nobody has read it. */
export function bodyOf(incoming: IncomingMessage & Parsed): (() => Uint8Array<ArrayBuffer>) | undefined {
  if (!incoming.readableEnded && !incoming.readableDidRead) return
  return () => bytesOf(incoming)
}

/** @throws AppError `body_invalid`: the body is gone */
function bytesOf({ rawBody, body, headers }: IncomingMessage & Parsed): Uint8Array<ArrayBuffer> {
  if (rawBody instanceof Uint8Array) return new Uint8Array(rawBody)
  if (body instanceof Uint8Array) return new Uint8Array(body)
  if (typeof body === 'string') return encode(body)
  if (body === undefined)
    throw new AppError(
      'body_invalid',
      'Cannot read the body: something in front of the hub has read it and left nothing; mount the hub before it',
    )
  const isForm = /^\s*application\/x-www-form-urlencoded\b/i.test(headers['content-type'] ?? '')
  return encode(isForm ? `${formOf(body as Record<string, unknown>)}` : JSON.stringify(body))
}

function formOf(fields: Record<string, unknown>): URLSearchParams {
  const form = new URLSearchParams()
  for (const [name, values] of Object.entries(fields))
    for (const value of [values].flat()) form.append(name, String(value))
  return form
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}
