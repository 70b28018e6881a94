import type { Page } from '../log/log.ts'
import type { Filter } from '../topic.ts'
import { type Close, ClosedTopics } from './closed-topics.ts'
import type { HubContext, Start } from './context.ts'
import { type Controls, encodeControl, encodeOpening, Frame, HEARTBEAT, join } from './frame.ts'
import { type Gap, type Lookup, type Opened, openAtOnce, openFrom, positionBefore } from './opening.ts'
import { formatPosition } from './position.ts'
import { jitter } from './random.ts'
import type { Chunk } from './window.ts'

/** A control frame that is sent before the next entry. If it reports a close, `close` is that close. */
interface Owed {
  readonly bytes: Uint8Array
  readonly close?: Close
}

/** A range of seqs, after `from` up to and including `to`, in which entries were skipped for newer ones of their topics. */
interface Skipped {
  readonly from: number
  readonly to: number
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
  #firstGap: Controls['gap'] | undefined
  /** Set until a `hub.gap` reports it. Only for readers that asked for these reports. */
  #skipped: Skipped | undefined
  /** The end of the last such range. It may be after the position, because the log finds skipped entries beyond the end of a chunk. */
  #skippedTo = 0

  constructor(context: HubContext, start: Start) {
    this.#context = context
    this.#start = start
    this.#joinedAt = this.position = this.#sent = context.window.head
    this.closed = new ClosedTopics(start.group.selection.filter)
    this.#owed = [{ bytes: encodeOpening(retryFor(context)) }]
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

  /** Whether control events are sent. */
  get hasControl(): boolean {
    return this.#start.group.selection.control
  }

  /** The gap with which the stream has begun, if it could not begin where the reader asked. */
  get firstGap(): Controls['gap'] | undefined {
    return this.#firstGap
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
      this.#oweControl('closed', { topic: close.topic, ...close.outcome }, close)
  }

  oweExpiring(at: Date): void {
    this.#oweControl('expiring', { at: at.toISOString() })
  }

  get owesNothing(): boolean {
    return this.#owed.length === 0
  }

  /** The control frames that are owed; before them a `hub.gap` if entries were skipped for newer ones. */
  takeOwed(): Uint8Array {
    const owed = this.#owed.map(({ bytes }) => bytes)
    this.#owed = []
    return join(this.#skipped ? [this.#reportSkipped(this.#skipped), ...owed] : owed)
  }

  clearOwed(): void {
    this.#owed = []
  }

  /** Gives the stream other topics, and drops everything owed that concerns only the former topics. */
  change(filter: Filter): void {
    this.#keepCloses(({ topic }) => filter.topics.has(topic))
    this.closed.change(filter)
    this.#skipped = undefined
    this.#skippedTo = 0
  }

  /** A topic was deleted up to a seq: if it was closed at or before that seq, it is open again. */
  reopen(topic: string, upTo: number): void {
    if (this.closed.reopen(topic, upTo)) this.#keepCloses((close) => close.topic !== topic || close.seq > upTo)
  }

  /** Moves the position to the end of a chunk. */
  pass({ to, closes, conflated }: Chunk): void {
    for (const close of closes) this.closed.note(close)
    if (conflated !== undefined && this.#start.gaps && this.hasControl) this.#skip(conflated)
    this.position = to
  }

  /** The bytes to send for a chunk given to `pass`: first a `hub.gap` if entries were skipped for newer ones, then the chunk. */
  hand({ sent }: Chunk, bytes: Uint8Array): Uint8Array {
    this.#sent = sent
    return this.#skipped ? join([this.#reportSkipped(this.#skipped), bytes]) : bytes
  }

  /** A heartbeat; or a checkpoint, if the position has moved since the last id was sent. */
  beat(): Uint8Array {
    if (this.#start.isDemo || !this.hasControl || this.#sent === this.position) return HEARTBEAT
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
    if (!isDemo) this.#oweControl('open', { state, stream })
    if (gap) this.#firstGap = this.#oweGap(gap)
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
    this.#owed.push({ bytes: new Frame({ ...entry, seq }, this.#context.epoch).bytes(this.#start.group.selection) })
  }

  #skip(to: number): void {
    if (to <= Math.max(this.position, this.#skippedTo)) return
    this.#skipped = { from: this.#skipped?.from ?? this.position, to }
    this.#skippedTo = to
  }

  #reportSkipped({ from, to }: Skipped): Uint8Array {
    this.#skipped = undefined
    this.#context.events.gap?.('conflated')
    const id = this.id(from)
    return encodeControl('gap', { reason: 'conflated', from: id, to: this.id(to), exact: true }, id)
  }

  #oweGap({ reason, from, to, exact }: Gap): Controls['gap'] {
    const gap = { reason, from, to: this.id(to), exact }
    this.#context.events.gap?.(reason)
    this.#oweControl('gap', gap)
    this.#sent = this.position
    return gap
  }

  #oweControl<Name extends keyof Controls>(name: Name, data: Controls[Name], close?: Close): void {
    if (!this.hasControl) return
    this.#owed.push({ bytes: encodeControl(name, data, this.id()), ...(close && { close }) })
  }

  #keepCloses(isKept: (close: Close) => boolean): void {
    this.#owed = this.#owed.filter(({ close }) => close === undefined || isKept(close))
  }
}

function retryFor({ retryMs, spreadsRetry }: HubContext): number {
  return spreadsRetry ? jitter(2 * retryMs) : retryMs
}
