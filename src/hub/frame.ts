import { type Entry, utf8Length, weigh } from '../log/log.ts'
import { STORE } from '../topic.ts'
import { formatPosition } from './position.ts'

/** What the demo's stream says before anything was sent. */
export const DEFAULT_MESSAGE = 'This is a server-sent event'

/**
 * An entry as it goes on the wire, made when somebody is given it: of the many that a hub keeps for those who may come back most
 * never are.
 */
export class Frame {
  readonly seq: number
  readonly topic: string
  readonly closes: boolean
  /** It has data: it is not merely a close. */
  readonly says: boolean
  /** As `weigh` counts. */
  readonly weight: number
  readonly #epoch: string
  /** What it is made of, until it is bytes. */
  #entry: Entry | undefined
  #text: string | undefined
  #bytes: Uint8Array | undefined
  #length = 0

  /** @param epoch of the log that placed the entry */
  constructor(entry: Entry, epoch: string) {
    this.seq = entry.seq
    this.topic = entry.topic
    this.closes = entry.close === true
    this.says = entry.data !== undefined
    this.weight = weigh(entry)
    this.#epoch = epoch
    this.#entry = entry
  }

  /** In bytes. */
  get length(): number {
    if (this.#length === 0) this.#length = utf8Length(this.#said())
    return this.#length
  }

  /** Encoded once for every reader who is given it alone. */
  get bytes(): Uint8Array {
    if (this.#bytes) return this.#bytes
    this.#bytes = encoder.encode(this.#said())
    this.#length = this.#bytes.byteLength
    this.#entry = this.#text = undefined
    return this.#bytes
  }

  /** Writes its bytes into those of a chunk, which has room for them. */
  writeTo(chunk: Uint8Array, at: number): void {
    if (this.#bytes) chunk.set(this.#bytes, at)
    else encoder.encodeInto(this.#said(), chunk.subarray(at))
  }

  #said(): string {
    this.#text ??= textOf(this.#entry!, this.#epoch)
    return this.#text
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

function textOf(entry: Entry, epoch: string): string {
  const id = formatPosition(epoch, entry.seq)
  let text = ''
  if (entry.data !== undefined) {
    if (entry.retry !== undefined) text += `${said(entry)}retry: ${entry.retry}\nid: ${id}\n\n`
    else text += `${said(entry)}id: ${id}\n\n`
  }
  if (entry.close) text += control('closed', { topic: entry.topic }, id)
  return text
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
