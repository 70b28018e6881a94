import type { Page } from '../log/log.ts'
import type { Filter } from '../topic.ts'
import { type Close, ClosedTopics } from './closed-topics.ts'
import type { HubContext, Start } from './context.ts'
import { encodeControl, encodeOpening, Frame, HEARTBEAT, join } from './frame.ts'
import { type Gap, type Lookup, type Opened, openAtOnce, openFrom, positionBefore } from './opening.ts'
import { formatPosition } from './position.ts'
import type { Chunk } from './window.ts'

/** A control frame that is sent before the next entry. If it reports a close, `close` is that close. */
interface Owed {
  readonly bytes: Uint8Array
  readonly close?: Close
}

/**
 * The position of one reader in the log, and the control frames that have to be sent at this position. The id of a control frame is the
 * position before the first entry that was not sent yet, so that a connection that breaks at any byte loses nothing.
 */
export class Cursor {
  /** The reader has got everything up to and including this seq. */
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
  /** The range in which entries were skipped for newer ones, until a `hub.gap` reports it. Only for readers that asked for reports. */
  #passed: { readonly from: number; readonly to: number } | undefined

  constructor(context: HubContext, start: Start) {
    this.#context = context
    this.#start = start
    this.#joinedAt = this.position = this.#sent = context.window.head
    this.closed = new ClosedTopics(start.group.selection.filter)
    this.#owed = [{ bytes: encodeOpening(context.retryMs) }]
  }

  /** Whether the stream has its position to begin at: `hub.open` (not for the demo) and any `hub.gap` are sent or owed. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether the stream has nothing to send: all its topics were closed at or before the position that the reader sent. */
  get isOver(): boolean {
    const { asked } = this.#start
    return typeof asked === 'object' && asked.epoch === this.#context.epoch && this.closed.isCompleteAt(asked.seq)
  }

  /** Whether closes must be looked up again before the stream opens: the last look covered only positions up to `#joinedAt`. */
  get mustLookAgain(): boolean {
    const { asked } = this.#start
    if (this.#isOpen || typeof asked !== 'object') return false
    return asked.epoch !== this.#context.epoch || asked.seq > this.#joinedAt
  }

  /** Opens the stream; or, if the log has to be read first, moves to where the read begins. `openFrom` is then the next call. */
  open(lookup: Lookup, stream: string): Opened | undefined {
    this.#lookup = lookup
    const opened = openAtOnce(this.#wanted, this.#standing)
    if (typeof opened !== 'number') return this.#begin(opened, stream)
    this.position = opened
    return
  }

  /** Opens the stream with a page that the log has read after the position. */
  openFrom(page: Page, stream: string): Opened {
    return this.#begin(openFrom(page, this.#wanted, this.#standing), stream)
  }

  /** Reports with a `hub.gap` that a page lacks trimmed entries, and continues at the page's first entry. */
  lose(page: Page): void {
    const from = this.id()
    this.position = positionBefore(page)
    this.#oweGap({ reason: 'trimmed', from, ...page.trimmed! })
    this.oweCloses()
  }

  /** Owes the closes at or before the position, which no later entry reports. */
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

  /** Gives the stream other topics, and drops everything owed that concerns only the former topics. */
  change(filter: Filter): void {
    this.#keepCloses(({ topic }) => filter.topics.has(topic))
    this.closed.change(filter)
    this.#passed = undefined
  }

  /** A topic was deleted up to a seq: if it was closed at or before that seq, it is open again. */
  reopen(topic: string, upTo: number): void {
    if (this.closed.reopen(topic, upTo)) this.#keepCloses((close) => close.topic !== topic || close.seq > upTo)
  }

  /** Moves the position to the end of a chunk. */
  pass({ to, conflated }: Chunk): void {
    if (conflated !== undefined && this.#start.gaps)
      this.#passed = { from: this.#passed?.from ?? this.position, to: conflated }
    this.position = to
  }

  /** The bytes to send for a chunk given to `pass`: first a `hub.gap` if entries were skipped for newer ones, then the chunk. */
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

  /** A heartbeat; or a checkpoint, if the position has moved since the last id was sent. */
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
    // The default message (seq 0) is no entry: its id is the position. Otherwise this is the newest entry, and the position moves past it.
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
