import { type Entry, utf8Length, weigh } from '../log/log.ts'
import type { Outcome } from '../log/runs.ts'
import { STORE } from '../topic.ts'
import { formatPosition } from './position.ts'

/** The demo's message until the first one is sent. */
export const DEFAULT_MESSAGE = 'This is a server-sent event'

/** What readers choose of a frame. Readers with the same choice share the bytes. */
export interface Form {
  /** Whether the data is a JSON object with the topic, the event's name, the data and the time. */
  readonly envelope: boolean
  /** Whether control events are sent. Without them, the frame of an entry that closes its topic ends before `hub.closed`. */
  readonly control: boolean
}

/** A short name of a form: equal forms have equal keys. */
export function keyOfForm({ envelope, control }: Form): string {
  if (control) return envelope ? 'envelope' : ''
  return envelope ? 'bare envelope' : 'bare'
}

/**
 * An entry as bytes on the wire. Each form is encoded when its first reader needs it: most frames of a window are never sent, and most are
 * sent in one form. The frame keeps the entry until its text or its bytes are made; an envelope is made of these.
 */
export class Frame {
  readonly seq: number
  readonly topic: string
  /** How the topic ended, if the entry closes it. */
  readonly outcome: Outcome | undefined
  /** Whether the entry has data. An entry that closes its topic may have none. */
  readonly hasData: boolean
  /** Where the frame's weight is counted while a window keeps the frame. */
  countedIn: { bytes: number } | undefined
  readonly #time: number
  readonly #epoch: string
  /** The bytes of the entry, as `weigh` counts them. */
  readonly #entryWeight: number
  /** One of these three is set: the entry, then its text, then its bytes. */
  #entry: Entry | undefined
  #text: string | undefined
  #bytes: Uint8Array | undefined
  /** The length of the bytes; 0 until it is known. */
  #length = 0
  #enveloped: Uint8Array | undefined

  /** @param epoch that of the log that holds the entry */
  constructor(entry: Entry, epoch: string) {
    this.seq = entry.seq
    this.topic = entry.topic
    this.outcome = entry.close ? outcomeOf(entry) : undefined
    this.hasData = entry.data !== undefined
    this.#time = entry.time
    this.#entryWeight = weigh(entry)
    this.#epoch = epoch
    this.#entry = entry
  }

  get closes(): boolean {
    return this.outcome !== undefined
  }

  /** The bytes that the frame keeps: those of the entry, as `weigh` counts them, and those of its envelope once that is made. */
  get weight(): number {
    return this.#entryWeight + (this.#enveloped?.byteLength ?? 0)
  }

  /** Length of a form in bytes. */
  length(form: Form): number {
    if (form.envelope || this.closes) return this.bytes(form).byteLength
    if (this.#length === 0) this.#length = utf8Length(this.#plainText())
    return this.#length
  }

  /** The bytes of a form, encoded once for all its readers. */
  bytes(form: Form): Uint8Array {
    const bytes = form.envelope ? this.#envelope() : this.#plain()
    if (form.control || !this.closes) return bytes
    const close = control('closed', { topic: this.topic, ...this.outcome! }, formatPosition(this.#epoch, this.seq))
    return bytes.subarray(0, bytes.byteLength - utf8Length(close))
  }

  /** Writes the bytes of a form into a chunk, which must have room for them. */
  writeTo(chunk: Uint8Array, at: number, form: Form): void {
    if (form.envelope || this.closes || this.#bytes) chunk.set(this.bytes(form), at)
    else encoder.encodeInto(this.#plainText(), chunk.subarray(at))
  }

  #plain(): Uint8Array {
    if (this.#bytes) return this.#bytes
    this.#bytes = encoder.encode(this.#plainText())
    this.#length = this.#bytes.byteLength
    this.#text = undefined
    return this.#bytes
  }

  #envelope(): Uint8Array {
    if (this.#enveloped) return this.#enveloped
    this.#enveloped = encoder.encode(envelop(this.#plainText(), this.topic, this.#time))
    if (this.countedIn) this.countedIn.bytes += this.#enveloped.byteLength
    return this.#enveloped
  }

  #plainText(): string {
    if (this.#bytes) return decoder.decode(this.#bytes)
    this.#text ??= encodeEntry(this.#entry!, this.#epoch)
    this.#entry = undefined
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
  /** The topic has ended: nothing can be published to it until it is deleted. */
  closed: Outcome & { topic: string }
  /** The stream ends at `at` (RFC 3339), unless it is renewed. */
  expiring: { at: string }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** A comment that keeps the connection alive. No blank line follows it: some clients would dispatch an empty message for one. */
export const HEARTBEAT = encoder.encode(':\n')

/** First bytes of a stream. The comment ends an unfinished line that WebKit may have kept from the previous connection. */
export function encodeOpening(retryMs: number): Uint8Array {
  return encoder.encode(`:\nretry: ${retryMs}\n`)
}

/**
 * Last bytes of a stream of topics that the hub ends: the event `hub.ending`, because many clients take fields only at a blank line. The
 * event has no id. A stream may end while it still owes its `hub.open` or a `hub.gap`, and then only the last id sent is a position that
 * loses nothing.
 */
export function encodeEnding(retryMs: number): Uint8Array {
  return encoder.encode(`event: hub.ending\ndata: {}\nretry: ${retryMs}\n\n`)
}

/** Last bytes of a stream without control events. By the specification `retry` takes effect at the end of its line, without a blank line. */
export function encodeBareEnding(retryMs: number): Uint8Array {
  return encoder.encode(`retry: ${retryMs}\n`)
}

function encodeEntry(entry: Entry, epoch: string): string {
  const id = formatPosition(epoch, entry.seq)
  let text = ''
  if (entry.data !== undefined) {
    if (entry.retry !== undefined) text += `${fieldsOf(entry)}retry: ${entry.retry}\nid: ${id}\n\n`
    else text += `${fieldsOf(entry)}id: ${id}\n\n`
  }
  if (entry.close) text += control('closed', { topic: entry.topic, ...outcomeOf(entry) }, id)
  return text
}

/** How the topic of an entry that closes it has ended. */
function outcomeOf({ outcome, detail }: Entry): Outcome {
  return { outcome: outcome ?? 'done', ...(detail !== undefined && { detail }) }
}

/** An entry as a repeat. It has no id, because an id could move the reader's position back. */
export function encodeRepeat(entry: Entry, { envelope }: Form): Uint8Array {
  const text = entry.data === undefined ? ':\n' : `${fieldsOf(entry)}\n`
  return encoder.encode(envelope ? envelop(text, entry.topic, entry.time) : text)
}

/**
 * Puts the data of an encoded entry into an envelope: the data that a reader without envelopes gets, beside the topic, the event's name and
 * the time in RFC 3339. Everything else stays as it is.
 */
function envelop(text: string, topic: string, time: number): string {
  const end = text.indexOf('\n\n')
  const lines = text.slice(0, end).split('\n')
  const values = (field: string) =>
    lines.filter((line) => line.startsWith(field)).map((line) => line.slice(field.length))
  const data = values('data: ')
  if (data.length === 0 || text.startsWith('event: hub.')) return text
  const [event = 'message'] = values('event: ')
  const envelope = { topic, event, data: data.join('\n'), time: new Date(time).toISOString() }
  const first = lines.findIndex((line) => line.startsWith('data: '))
  const others = lines.slice(first + data.length)
  return [...lines.slice(0, first), `data: ${JSON.stringify(envelope)}`, ...others].join('\n') + text.slice(end)
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
export function joinFrames(frames: readonly Frame[], length: number, form: Form): Uint8Array {
  if (frames.length === 1) return frames[0]!.bytes(form)
  const chunk = new Uint8Array(length)
  let at = 0
  for (const frame of frames) {
    frame.writeTo(chunk, at, form)
    at += frame.length(form)
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
