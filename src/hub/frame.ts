import { type Entry, utf8Length, weigh } from '../log/log.ts'
import { STORE } from '../topic.ts'
import { formatPosition } from './position.ts'

/** The demo's message until the first one is sent. */
export const DEFAULT_MESSAGE = 'This is a server-sent event'

/** An entry as bytes on the wire. They are encoded when the first reader needs them: most frames of a window are never sent. */
export class Frame {
  readonly seq: number
  readonly topic: string
  readonly closes: boolean
  /** Whether the entry has data. An entry that closes its topic may have none. */
  readonly hasData: boolean
  /** The entry's bytes, as `weigh` counts them. */
  readonly weight: number
  readonly #epoch: string
  /** Undefined once the bytes are made. */
  #entry: Entry | undefined
  #text: string | undefined
  #bytes: Uint8Array | undefined
  #length = 0

  /** @param epoch that of the log that holds the entry */
  constructor(entry: Entry, epoch: string) {
    this.seq = entry.seq
    this.topic = entry.topic
    this.closes = entry.close === true
    this.hasData = entry.data !== undefined
    this.weight = weigh(entry)
    this.#epoch = epoch
    this.#entry = entry
  }

  /** Length of the encoded frame in bytes. */
  get length(): number {
    if (this.#length === 0) this.#length = utf8Length(this.#textOf())
    return this.#length
  }

  /** The frame's bytes, encoded once for all readers. */
  get bytes(): Uint8Array {
    if (this.#bytes) return this.#bytes
    this.#bytes = encoder.encode(this.#textOf())
    this.#length = this.#bytes.byteLength
    this.#entry = this.#text = undefined
    return this.#bytes
  }

  /** Writes the frame's bytes into a chunk, which must have room for them. */
  writeTo(chunk: Uint8Array, at: number): void {
    if (this.#bytes) chunk.set(this.#bytes, at)
    else encoder.encodeInto(this.#textOf(), chunk.subarray(at))
  }

  #textOf(): string {
    this.#text ??= encodeEntry(this.#entry!, this.#epoch)
    return this.#text
  }
}

export type GapReason = 'trimmed' | 'epoch' | 'unknown' | 'ahead' | 'conflated'

/** The control events, named `hub.*`, and their data. */
export interface Controls {
  open: { state: 'live' | 'resumed' | 'gap'; stream: string }
  /** Entries after `from`, up to and including `to`, cannot be delivered any more. `from` is null if the client sent no position. */
  gap: { reason: GapReason; from: string | null; to: string; exact: boolean }
  checkpoint: Record<string, never>
  closed: { topic: string }
  /** The stream ends at `at` (RFC 3339), unless it is renewed. */
  expiring: { at: string }
}

const encoder = new TextEncoder()

/** A comment that keeps the connection alive. No blank line follows it: some clients would dispatch an empty message for one. */
export const HEARTBEAT = encoder.encode(':\n')

/** First bytes of a stream. The comment ends an unfinished line that WebKit may have kept from the previous connection. */
export function encodeOpening(retryMs: number): Uint8Array {
  return encoder.encode(`:\nretry: ${retryMs}\n`)
}

/** Last bytes of a stream that the hub ends. By the specification `retry` takes effect at the end of its line, without a blank line. */
export function encodeEnding(retryMs: number): Uint8Array {
  return encoder.encode(`retry: ${retryMs}\n`)
}

function encodeEntry(entry: Entry, epoch: string): string {
  const id = formatPosition(epoch, entry.seq)
  let text = ''
  if (entry.data !== undefined) {
    if (entry.retry !== undefined) text += `${fieldsOf(entry)}retry: ${entry.retry}\nid: ${id}\n\n`
    else text += `${fieldsOf(entry)}id: ${id}\n\n`
  }
  if (entry.close) text += control('closed', { topic: entry.topic }, id)
  return text
}

/** An entry as a repeat. It has no id, because an id could move the reader's position back. */
export function encodeRepeat(entry: Entry): Uint8Array {
  return encoder.encode(entry.data === undefined ? ':\n' : `${fieldsOf(entry)}\n`)
}

export function encodeControl<Name extends keyof Controls>(name: Name, data: Controls[Name], id: string): Uint8Array {
  return encoder.encode(control(name, data, id))
}

/** The data of the store's frames. */
export function storeData(message: string, time: number): string {
  return JSON.stringify({ message, timestamp: new Date(time).toISOString() })
}

// `id:` comes last: some clients store an id when they read its line, not at dispatch, and a connection that breaks would lose the event.
function fieldsOf({ topic, event, data = '', time }: Entry): string {
  if (topic === STORE) return `event: message\ndata: ${storeData(data, time)}\n`
  const name = event === undefined ? '' : `event: ${event}\n`
  if (!/[\r\n]/.test(data)) return `${name}data: ${data}\n`
  return `${name}${data
    .split(/\r\n|\r|\n/)
    .map((line) => `data: ${line}\n`)
    .join('')}`
}

function control<Name extends keyof Controls>(name: Name, data: Controls[Name], id: string): string {
  return `event: hub.${name}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`
}

/** Joins frames into one chunk. A single frame is not copied. */
export function joinFrames(frames: readonly Frame[], length: number): Uint8Array {
  if (frames.length === 1) return frames[0]!.bytes
  const chunk = new Uint8Array(length)
  let at = 0
  for (const frame of frames) {
    frame.writeTo(chunk, at)
    at += frame.length
  }
  return chunk
}

/** Joins pieces into one. A single piece is not copied. */
export function join(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!
  const joined = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const piece of pieces) {
    joined.set(piece, at)
    at += piece.byteLength
  }
  return joined
}
