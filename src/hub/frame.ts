import { type Entry, utf8Length } from '../log/log.ts'
import { STORE } from '../topic.ts'
import { formatPosition } from './position.ts'

/** What the seed's stream says before anything was sent. */
export const DEFAULT_MESSAGE = 'This is a server-sent event'

/**
 * An entry as it goes on the wire. It is text until somebody is given it alone: of the many that a hub keeps for those who may come
 * back most never are, and bytes of their own cost more than the text does.
 */
export class Frame {
  readonly seq: number
  readonly topic: string
  readonly closes: boolean
  /** It has data: it is not merely a close. */
  readonly says: boolean
  /** In bytes. */
  readonly length: number
  #said: string | Uint8Array

  /** @param text well-formed */
  constructor({ seq, topic, data, close }: Pick<Entry, 'seq' | 'topic' | 'data' | 'close'>, text: string) {
    this.seq = seq
    this.topic = topic
    this.closes = close === true
    this.says = data !== undefined
    this.length = utf8Length(text)
    this.#said = text
  }

  /** Encoded once for every reader. */
  get bytes(): Uint8Array {
    if (typeof this.#said === 'string') this.#said = encoder.encode(this.#said)
    return this.#said
  }

  /** Writes its bytes into those of a chunk. */
  writeTo(chunk: Uint8Array, at: number): void {
    if (typeof this.#said === 'string') encoder.encodeInto(this.#said, chunk.subarray(at))
    else chunk.set(this.#said, at)
  }
}

export type GapReason = 'trimmed' | 'epoch' | 'unknown' | 'ahead' | 'conflated'

/** The control events, all named `hub.*`, with their data. */
export interface Controls {
  open: { state: 'live' | 'resumed' | 'gap'; stream: string }
  /** What was asked for after `from` up to and including `to` cannot be delivered any more; `from` is null where it was no position. */
  gap: { reason: GapReason; from: string | null; to: string; exact: boolean }
  checkpoint: Record<string, never>
  closed: { topic: string }
  /** The stream ends at `at` (RFC 3339), unless it is renewed. */
  expiring: { at: string }
}

const encoder = new TextEncoder()

/** A line that only keeps the connection alive. No blank line: some clients dispatch an empty message for it. */
export const HEARTBEAT = encoder.encode(':\n')

/** First bytes of a stream. The comment ends whatever line a client (WebKit) kept from the connection before. */
export function encodeOpening(retryMs: number): Uint8Array {
  return encoder.encode(`:\nretry: ${retryMs}\n`)
}

/** Last bytes of a stream that the hub ends; a field takes effect at its line end, no blank line is needed. */
export function encodeEnding(retryMs: number): Uint8Array {
  return encoder.encode(`retry: ${retryMs}\n`)
}

/** @param epoch of the log that placed the entry */
export function encodeEntry(entry: Entry, epoch: string): Frame {
  const id = formatPosition(epoch, entry.seq)
  let text = ''
  if (entry.data !== undefined) {
    if (entry.retry !== undefined) text += `${said(entry)}retry: ${entry.retry}\nid: ${id}\n\n`
    else text += `${said(entry)}id: ${id}\n\n`
  }
  if (entry.close) text += control('closed', { topic: entry.topic }, id)
  return new Frame(entry, text)
}

/** The entry said again: without an id, because a reader's position never moves back. */
export function encodeRepeat(entry: Entry): Uint8Array {
  return encoder.encode(entry.data === undefined ? ':\n' : `${said(entry)}\n`)
}

export function encodeControl<Name extends keyof Controls>(name: Name, data: Controls[Name], id: string): Uint8Array {
  return encoder.encode(control(name, data, id))
}

/** What the store's frames have as data. */
export function storeData(message: string, time: number): string {
  return JSON.stringify({ message, timestamp: new Date(time).toISOString() })
}

// `event:` first and `id:` last: a client that takes an id when its line comes, not at dispatch, then loses nothing to a cut.
function said({ topic, event, data = '', time }: Entry): string {
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

/** One chunk of frames; a single one is not copied. */
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

/** The same of pieces that are bytes. */
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
