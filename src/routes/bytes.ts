import type { Context } from 'hono'
import { AppError, quote } from '../errors.ts'
import { Turns } from '../turn.ts'
import { connectionOf } from './connection.ts'

/**
 * The pieces in which a request's body comes; nothing where it has none. What is not read of a web stream is left there: to cancel
 * it closes the connection before the answer is out.
 */
export function piecesOf(c: Context): AsyncIterator<Uint8Array> | undefined {
  const connection = connectionOf(c)
  if (connection?.body) return connection.body()
  const reader = c.req.raw.body?.getReader()
  return reader && { next: () => reader.read() as Promise<IteratorResult<Uint8Array>> }
}

/** @throws AppError `content_type_unsupported` */
export function refuseCompressed(request: Request): void {
  const encoding = request.headers.get('content-encoding')
  if (!encoding || encoding === 'identity') return
  throw new AppError(
    'content_type_unsupported',
    `Cannot read a body with content-encoding ${quote(encoding)}: send it uncompressed`,
  )
}

/** A content type without its parameters. */
export function essenceOf(type: string): string {
  const end = type.indexOf(';')
  return (end < 0 ? type : type.slice(0, end)).trim().toLowerCase()
}

/** So many pieces are held apart whatever their size, and more if they are of a KiB on the average: each costs a hundred bytes and more. */
const PIECES = 100
const KIB = 1024

/** Bytes that come in pieces, however small these are. */
export class Pieces {
  #pieces: Uint8Array[] = []
  #length = 0

  /** In bytes. */
  get length(): number {
    return this.#length
  }

  push(piece: Uint8Array): void {
    const { length } = this.#pieces
    if (length >= PIECES && length * KIB > this.#length) this.#pieces = [concat(this.#pieces, this.#length)]
    this.#pieces.push(piece)
    this.#length += piece.byteLength
  }

  /** All that came since the last time. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = concat(this.#pieces, this.#length)
    this.#pieces = []
    this.#length = 0
    return bytes
  }
}

function concat(pieces: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  if (pieces.length === 1) return pieces[0] as Uint8Array<ArrayBuffer>
  const bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.byteLength
  }
  return bytes
}

/** In which bodies that are late are refused, one a turn: thousands that were begun together are late together. */
const turns = new Turns()

/** What a body gives, if it does so in time. @throws what `late` makes, AppError `body_invalid` (cut off) */
export function within<T>(given: Promise<T>, ms: number, late: () => AppError): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => void turns.next().then(() => reject(late())), Math.max(0, ms))
    given.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (cause: unknown) => {
        clearTimeout(timer)
        reject(new AppError('body_invalid', 'Cannot read the body: it was cut off', { cause }))
      },
    )
  })
}
