import type { Page } from '../log/log.ts'
import type { Filter } from '../topic.ts'
import { type Close, ClosedTopics } from './closed-topics.ts'
import type { HubContext, Start } from './context.ts'
import { encodeControl, encodeOpening, Frame, HEARTBEAT, join } from './frame.ts'
import { type Gap, type Lookup, type Opened, openAtOnce, openFrom, positionBefore } from './opening.ts'
import { formatPosition } from './position.ts'
import type { Chunk } from './window.ts'

/** A frame that is due before any entry, and the close that it reports. */
interface Owed {
  readonly bytes: Uint8Array
  readonly close?: Close
}

/**
 * Where one reader stands: its position in the log, and the control frames that it is owed there. The id of a control frame is the
 * position before the first entry still owed, so that a connection cut at any byte loses nothing.
 */
export class Cursor {
  /** The reader has everything up to here. */
  position: number
  readonly closed: ClosedTopics
  readonly #context: HubContext
  readonly #start: Start
  /** The head when the stream was made. */
  readonly #joinedAt: number
  #lookup: Lookup = {}
  /** Seq of the last id sent. */
  #sent: number
  #isOpen = false
  #owed: Owed[]
  /** What was passed over for newer entries and not yet reported, for readers that asked for reports. */
  #passed: { readonly from: number; readonly to: number } | undefined

  constructor(context: HubContext, start: Start) {
    this.#context = context
    this.#start = start
    this.#joinedAt = this.position = this.#sent = context.window.head
    this.closed = new ClosedTopics(start.group.selection.filter)
    this.#owed = [{ bytes: encodeOpening(context.retryMs) }]
  }

  /** Whether the beginning is decided: `hub.open` (not for the demo) and any `hub.gap` are sent or owed. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether nothing can come after the position that was asked for: all topics are closed, at or before it. */
  get isOver(): boolean {
    const { asked } = this.#start
    return typeof asked === 'object' && asked.epoch === this.#context.epoch && this.closed.isCompleteAt(asked.seq)
  }

  /** Whether the stream is about to open at a position that was after the head when its closes were looked up. */
  get mustLookAgain(): boolean {
    const { asked } = this.#start
    if (this.#isOpen || typeof asked !== 'object') return false
    return asked.epoch !== this.#context.epoch || asked.seq > this.#joinedAt
  }

  /** Opens the stream, or goes to the position from which the log has to be read to open it: then `openFrom` is due. */
  open(lookup: Lookup, stream: string): Opened | undefined {
    this.#lookup = lookup
    const opened = openAtOnce(this.#wanted, this.#standing)
    if (typeof opened !== 'number') return this.#begin(opened, stream)
    this.position = opened
    return
  }

  /** Opens the stream by what the log holds after the position. */
  openFrom(page: Page, stream: string): Opened {
    return this.#begin(openFrom(page, this.#wanted, this.#standing), stream)
  }

  /** Reports a loss that a page of the log shows, and goes on after it. */
  lose(page: Page): void {
    const from = this.id()
    this.position = positionBefore(page)
    this.#oweGap({ reason: 'trimmed', from, ...page.trimmed! })
    this.oweCloses()
  }

  /** Owes the closes that no entry will report, because the position is past them. */
  oweCloses(): void {
    for (const close of this.closed.due(this.position))
      this.#owed.push({ bytes: encodeControl('closed', { topic: close.topic }, this.id()), close })
  }

  oweExpiring(at: Date): void {
    this.#owe(encodeControl('expiring', { at: at.toISOString() }, this.id()))
  }

  get owesNothing(): boolean {
    return this.#owed.length === 0
  }

  takeOwed(): Uint8Array {
    const bytes = join(this.#owed.map((frame) => frame.bytes))
    this.#owed = []
    return bytes
  }

  clearOwed(): void {
    this.#owed = []
  }

  /** Goes on with other topics: reports nothing of the former ones any more. */
  change(filter: Filter): void {
    this.#keepCloses(({ topic }) => filter.topics.has(topic))
    this.closed.change(filter)
    this.#passed = undefined
  }

  /** A topic was deleted up to a seq: if it was closed by then, it is open again. */
  reopen(topic: string, upTo: number): void {
    if (this.closed.reopen(topic, upTo)) this.#keepCloses((close) => close.topic !== topic || close.seq > upTo)
  }

  /** Moves past a chunk. */
  pass({ to, conflated }: Chunk): void {
    if (conflated !== undefined && this.#start.gaps)
      this.#passed = { from: this.#passed?.from ?? this.position, to: conflated }
    this.position = to
  }

  /** The bytes of a chunk that was passed, after a report of what was passed over before. */
  hand({ sent, closes }: Chunk, bytes: Uint8Array): Uint8Array {
    this.#sent = sent
    for (const close of closes) this.closed.note(close)
    if (!this.#passed) return bytes
    const from = this.id(this.#passed.from)
    this.#context.events.gap?.('conflated')
    const gap = { reason: 'conflated', from, to: this.id(this.#passed.to), exact: true } as const
    this.#passed = undefined
    return join([encodeControl('gap', gap, from), bytes])
  }

  /** A heartbeat; where the position has moved without an event, a checkpoint. */
  beat(): Uint8Array {
    if (this.#start.isDemo || this.#sent === this.position) return HEARTBEAT
    this.#sent = this.position
    return encodeControl('checkpoint', {}, this.id())
  }

  id(seq = this.position): string {
    return formatPosition(this.#context.epoch, seq)
  }

  get #wanted() {
    return { asked: this.#start.asked, history: this.#lookup.history }
  }

  get #standing() {
    return { epoch: this.#context.epoch, joinedAt: this.#joinedAt, floor: this.#context.window.floor }
  }

  #begin(opened: Opened, stream: string): Opened {
    const { position, state, gap } = opened
    this.#isOpen = true
    this.#sent = this.position = position
    const { isDemo } = this.#start
    if (!isDemo) this.#owe(encodeControl('open', { state, stream }, this.id()))
    if (gap) this.#oweGap(gap)
    this.oweCloses()
    if (isDemo && state === 'live') this.#oweCurrent()
    return opened
  }

  /** The demo's stream starts with the current value. */
  #oweCurrent(): void {
    const entry = this.#lookup.repeat!.of.entry!
    // The default message, before anything was sent, gets the position as its id. Any other is the newest entry, which is not given again.
    const seq = entry.seq === 0 ? this.position : entry.seq
    this.position = Math.max(this.position, seq)
    this.#sent = seq
    this.#owe(new Frame({ ...entry, seq }, this.#context.epoch).bytes)
  }

  #oweGap({ reason, from, to, exact }: Gap): void {
    this.#context.events.gap?.(reason)
    this.#owe(encodeControl('gap', { reason, from, to: this.id(to), exact }, this.id()))
    this.#sent = this.position
  }

  #owe(bytes: Uint8Array): void {
    this.#owed.push({ bytes })
  }

  #keepCloses(isKept: (close: Close) => boolean): void {
    this.#owed = this.#owed.filter(({ close }) => close === undefined || isKept(close))
  }
}
