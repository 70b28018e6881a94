import { AppError } from '../errors.ts'
import type { Page } from '../log/log.ts'
import type { Turns } from '../turn.ts'
import { type Close, ClosedTopics } from './closed.ts'
import { Deadlines, NEVER } from './deadlines.ts'
import type { EndReason, HubEvents } from './events.ts'
import { encodeControl, encodeEnding, encodeOpening, Frame, HEARTBEAT, join } from './frame.ts'
import type { Group, Waiter } from './interests.ts'
import {
  type Gap,
  type History,
  type Opened,
  openAtOnce,
  openFrom,
  positionBefore,
  type Standing,
  type Wanted,
} from './opening.ts'
import { Pace } from './pace.ts'
import { formatPosition } from './position.ts'
import type { Reads } from './reads.ts'
import type { Repeat } from './repeats.ts'
import type { SharedChunks } from './shared.ts'
import type { Timed, Wheel } from './wheel.ts'
import { type Chunk, chunkOf, type Window } from './window.ts'

/** Entries that one read of the log asks for, at most: what they cost, everybody else waits for. */
const READ_COUNT = 64

/** What a subscription needs of its hub. */
export interface Feed {
  readonly epoch: string
  readonly events: HubEvents
  readonly reads: Reads
  readonly window: Window
  readonly maxChunkBytes: number
  readonly heartbeatMs: number
  readonly stallMs: number
  readonly retryMs: number
  /** Most events a second that one reader gets from the log. */
  readonly replayRate: number
  /** Readers that are behind the window, and read from the log. */
  readonly replays: { open: number }
  readonly wheel: Wheel
  readonly shared: SharedChunks
  /** For those that have more to catch up with than one turn should be kept by. */
  readonly turns: Turns
}

/** Whose a subscription is, and for how long. */
export interface Start {
  readonly group: Group
  /** Whose it is, for people: a client's address, a token's subject. */
  readonly who?: string
  /** Where the reader wants to go on: nowhere in particular, at a position, or at what is no position of any log. */
  readonly asked: Wanted['asked']
  /** Says with a `hub.gap` what was passed over for something newer. */
  readonly gaps: boolean
  /** The demo's stream: the current value first, no `hub.open`, no checkpoints. */
  readonly isDemo: boolean
  readonly lifetimeMs: number
  /** When it may not go on any longer, in ms since 1970. */
  readonly expiresAt?: number
  /** Takes this subscription out of a group that it has left. */
  readonly change: (before: Group) => void
  /** Takes this subscription off the hub. */
  readonly leave: (subscription: Subscription, why: EndReason) => void
  /** Cuts off the reader: it has not taken what it was given for `stallMs`. */
  readonly drop: () => void
}

/** What is found out about a stream before it opens, while it hears already what happens. */
export interface Opening {
  readonly history?: History
  readonly repeat?: { readonly of: Repeat; readonly everyMs: number }
}

/**
 * A position in the log that moves when it is read. Live, catching up and slow are one loop: `read` gives what is due after
 * the position, from the window or, below its floor, from the log. Between two reads this is an integer and at most one chunk.
 *
 * It takes the head when it is made, and is told of everything that happens from then on. Only then its hub looks what had happened
 * before (`look`), and opens it (`open`): so nothing falls between the two.
 *
 * A carrier calls `read` when it can send. If it gets nothing, it waits for `onReady`, unless `ended`.
 */
export class Subscription implements AsyncIterable<Uint8Array>, Waiter, Timed {
  /** Names this stream to its reader: 128 random bits. */
  readonly stream = randomName()
  /** Called when `read` may give something again. One carrier, one callback. */
  onReady: () => void = () => {}

  /** When it was made, on the clock of `performance.now()`. */
  readonly openedAt = performance.now()
  #events = 0
  #bytes = 0

  readonly #feed: Feed
  readonly #start: Start
  #group: Group
  #position: number
  /** The head when it began. */
  readonly #joinedAt: number
  /** Seq of the last id sent. */
  #sent: number
  /** In the group's set of those who have all there is: the position follows the head. */
  #waiting = false
  /** The reader knows where it stands: it has been sent `hub.open`, and `hub.gap` if need be. */
  #opened = false
  /** Control frames, due before any entry, and the close that one tells of. */
  #owed: { readonly bytes: Uint8Array; readonly close?: Close }[]
  /** What the log gave, and the window's edition at that time. */
  #page: { readonly chunk: Chunk; readonly edition: number } | undefined
  /** Counted among those that are behind the window. */
  #replaying = false
  readonly #pace = new Pace()
  /** What was passed over for newer entries and not yet told, for readers that asked. */
  #passed: { readonly from: number; readonly to: number } | undefined
  #fetching = false
  /** It has once had all there was. */
  #isLive = false
  /** Waits for a turn in which to go on. */
  #waitsForTurn = false
  /** End of the last gap that the reader was told of. */
  #gapTo = 0
  readonly #closed: ClosedTopics
  #history: History | undefined
  #repeat: Opening['repeat']
  #failure: AppError | undefined
  /** Last words, due once everything up to `head` is sent. */
  #ending: { readonly why: EndReason; readonly bytes: Uint8Array; readonly head: number } | undefined
  #final = false
  #ended = false
  readonly #deadlines: Deadlines
  #beatDue = false
  #repeatDue = false

  constructor(feed: Feed, start: Start) {
    this.#feed = feed
    this.#start = start
    this.#group = start.group
    this.#joinedAt = this.#position = this.#sent = feed.window.head
    this.#owed = [{ bytes: encodeOpening(feed.retryMs) }]
    this.#closed = new ClosedTopics(start.group.selection.filter)
    this.#deadlines = new Deadlines(feed.heartbeatMs, feed.stallMs, start.lifetimeMs)
    if (start.expiresAt !== undefined) this.#deadlines.expire(start.expiresAt)
  }

  /** Finds out which topics are closed by an entry that this may be past. @throws AppError `log_unavailable`, `log_unusable` */
  look(): Promise<void> {
    return this.#closed.look(this.#feed.reads)
  }

  /** Whether nothing can come after the position that was asked for: all topics are closed, at or before it. */
  get isOver(): boolean {
    const { asked } = this.#start
    return typeof asked === 'object' && asked.epoch === this.#feed.epoch && this.#closed.isCompleteAt(asked.seq)
  }

  /** Begins to give, once a first `look` is done. */
  open({ history, repeat }: Opening): void {
    this.#history = history
    this.#repeat = repeat
    this.#deadlines.repeat(repeat?.everyMs)
    this.#feed.wheel.add(this, this.nextTick)
    const opened = openAtOnce(this.#wanted, this.#standing)
    if (typeof opened === 'number') this.#position = opened
    else this.#begin(opened)
    this.#countReplay(!this.#opened)
  }

  /** Whose it is, for people. */
  get who(): string | undefined {
    return this.#start.who
  }

  /** Events that were handed to the reader so far, and bytes of everything. */
  get handed(): { readonly events: number; readonly bytes: number } {
    return { events: this.#events, bytes: this.#bytes }
  }

  /** Why it ended, if that was because the log could not be read: nothing may be concluded from what it has given. */
  get failure(): AppError | undefined {
    return this.#failure
  }

  /** Everything up to here is with the reader or was not for it. */
  get position(): number {
    return this.#waiting ? Math.max(this.#position, this.#feed.window.head) : this.#position
  }

  /** The same as an id: where a reader that has been given all there is goes on. */
  get positionId(): string {
    return this.#id(this.position)
  }

  /** No more will come. */
  get ended(): boolean {
    return this.#ended
  }

  /** When `tick` wants to be called, on the clock of `performance.now()`. */
  get nextTick(): number {
    return Math.min(this.#deadlines.next(performance.now()), this.#pace.resumesAt)
  }

  /** It has been given all there is. */
  get idle(): boolean {
    return this.#waiting
  }

  /** Whole frames that are due, `maxChunkBytes` or one frame at most, or nothing yet. Asking says that the last ones are sent. */
  read(): Uint8Array | undefined {
    this.#deadlines.taken()
    if (this.#final) this.close(this.#ending?.why ?? 'complete')
    if (this.#ended) return
    const bytes = this.#next()
    if (!bytes) return
    this.#deadlines.hand()
    this.#bytes += bytes.byteLength
    return bytes
  }

  /** Chunks until the end. Leaving the loop closes the subscription. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const ready = (resolve: () => void) => {
      this.onReady = resolve
    }
    try {
      while (!this.#ended) {
        const bytes = this.read()
        if (bytes) yield bytes
        else if (!this.#ended) await new Promise<void>(ready)
      }
    } finally {
      this.close()
    }
  }

  /** Ends it with nothing more to say. Calling it twice is allowed. */
  close(why: EndReason = 'gone'): void {
    if (this.#ended) return
    this.#ended = true
    this.#owed = []
    this.#page = undefined
    this.#countReplay(false)
    this.#group.waiting.delete(this)
    this.#start.leave(this, why)
    this.onReady()
  }

  /**
   * Ends the stream once what is due by now is sent, or at once with nothing more; the reader is to come back after `retryMs`.
   */
  finish(why: EndReason, retryMs: number, isAtOnce = false): void {
    this.#deadlines.end(isAtOnce)
    if (this.#ended || (this.#ending && !isAtOnce)) return
    this.#ending = { why, bytes: encodeEnding(retryMs), head: isAtOnce ? 0 : this.#feed.window.head }
    if (isAtOnce) this.#owed = []
    this.#rouse()
  }

  wake(head: number): void {
    this.#position = Math.max(this.#position, head) // the log may have given more than was delivered yet
    this.#waiting = false
    this.onReady()
  }

  tick(now: number): number {
    const deadlines = this.#deadlines
    if (deadlines.isStalled(now)) {
      this.close('stalled')
      this.#start.drop()
      return NEVER
    }
    if (deadlines.isOld(now)) this.finish('lifetime', jitter(this.#feed.retryMs))
    if (deadlines.isExpired(now)) this.finish('expired', this.#feed.retryMs, true)
    const expires = deadlines.takeWarning(now, this.#opened)
    if (expires && !this.#start.isDemo) this.#warn(expires)
    // A reader that still owes a drain gets neither.
    if (deadlines.takeBeat(now)) this.#beatDue = this.#waiting
    if (deadlines.takeRepeat(now)) this.#repeatDue = this.#waiting
    if (this.#beatDue || this.#repeatDue) this.#rouse()
    if (this.#pace.takeResume(now)) this.onReady()
    return this.nextTick
  }

  /** Another end, in the place of the one it had; none if it is missing. @throws AppError `stream_unknown` */
  renew(expiresAt: number | undefined): void {
    this.assertOpen()
    this.#deadlines.expire(expiresAt)
    this.#feed.wheel.add(this, this.nextTick)
  }

  get latest(): boolean {
    return this.#group.selection.latest
  }

  /** Whom it shares its wake-ups with. */
  get group(): Group {
    return this.#group
  }

  /**
   * Goes on at its position with what another group is of, which it leaves in the place of its own.
   *
   * @throws AppError `log_unavailable`, `log_unusable` (it ends)
   */
  async change(group: Group): Promise<void> {
    this.#position = this.position // it has all that the old group had for it, if it was waiting
    const wasWaiting = this.#waiting
    this.#waiting = false
    this.#group.waiting.delete(this)
    this.#page = undefined
    const { filter } = group.selection
    // What was still to be told of the old topics is none of the new ones' business.
    this.#owed = this.#owed.filter(({ close }) => close === undefined || filter.topics.has(close.topic))
    this.#closed.change(filter)
    this.#passed = undefined
    this.#gapTo = 0
    this.#deadlines.repeat(undefined) // what it repeated may be none of its topics any more
    this.#repeatDue = false
    const before = this.#group
    this.#group = group
    this.#start.change(before)
    if (wasWaiting) this.onReady()
    try {
      await this.look()
    } catch (cause) {
      if (this.#group !== group) return // it has gone on with yet others, which are looked for by themselves
      this.#fail(cause)
      throw cause
    }
    this.#rouse()
  }

  /** A topic has been deleted up to a seq: if it was closed by then, it may be published to again. */
  reopen(topic: string, upTo: number): void {
    if (!this.#closed.reopen(topic, upTo)) return
    this.#owed = this.#owed.filter(({ close }) => close?.topic !== topic || close.seq > upTo)
  }

  #next(): Uint8Array | undefined {
    if (this.#opened) this.#oweCloses()
    if (this.#owed.length > 0) return this.#takeOwed()
    if (this.#opened && this.#closed.isComplete) return this.#endWith(encodeEnding(this.#feed.retryMs))
    if (this.#ending && (this.#position >= this.#ending.head || this.#isBehind()))
      return this.#endWith(this.#ending.bytes)
    if (this.#waitsForTurn) return
    // Some of what the log gave has been erased since, and nobody is to get it any more.
    if (this.#page && this.#page.edition !== this.#feed.window.edition) this.#page = undefined
    if (this.#isBehind() && !this.#page) return this.#fetch()
    const chunk = this.#take()
    if (!chunk) return this.#rest()
    if (chunk.conflated !== undefined && this.#start.gaps)
      this.#passed = { from: this.#passed?.from ?? this.#position, to: chunk.conflated }
    this.#position = chunk.to
    if (!this.#isBehind()) this.#countReplay(false)
    const isEnough = chunk.full && !(this.#isLive && chunk.bytes)
    if (isEnough) this.#continueLater()
    if (chunk.bytes) return this.#hand(chunk, chunk.bytes)
    return isEnough ? undefined : this.#next()
  }

  /** It has all there is: what does not depend on that is due, or nothing. */
  #rest(): Uint8Array | undefined {
    this.#countReplay(false)
    if (this.#repeatDue) return this.#sayAgain()
    if (this.#beatDue) return this.#beat()
    this.#waiting = this.#isLive = true
    this.#group.waiting.add(this)
    return
  }

  /** Whether only the log can tell what comes next: below the window, and as far as it has told of a gap. */
  #isBehind(): boolean {
    return !this.#opened || this.#position < Math.max(this.#feed.window.floor, this.#gapTo)
  }

  /** What comes next: from the log, if that was asked, or the window; nothing at its head. */
  #take(): Chunk | undefined {
    const page = this.#page
    this.#page = undefined
    if (page) return page.chunk
    const { window, maxChunkBytes, shared } = this.#feed
    if (this.#position >= window.head) return
    const group = this.#group
    const known = shared.get(group, this.#position)
    if (known && (known.full || known.to === window.head)) return known
    const chunk = window.chunk(this.#position, group.selection, maxChunkBytes)
    if (group.size > 1) shared.keep(group, this.#position, chunk)
    return chunk
  }

  /**
   * One look with a pattern that finds nothing is enough for one turn, and one full chunk for who is catching up. Who has once had all
   * there was is given all that piles up: it is the pace at which the hub takes more.
   */
  #continueLater(): void {
    this.#waitsForTurn = true
    this.#feed.turns.run(() => {
      this.#waitsForTurn = false
      this.onReady()
    })
  }

  #hand(chunk: Chunk, bytes: Uint8Array): Uint8Array {
    this.#sent = chunk.sent
    this.#events += chunk.count
    this.#deadlines.putOffBeat()
    this.#beatDue = false
    for (const close of chunk.closes) this.#closed.tell(close)
    if (!this.#passed) return bytes
    const from = this.#id(this.#passed.from)
    this.#feed.events.gap?.('conflated')
    const gap = { reason: 'conflated', from, to: this.#id(this.#passed.to), exact: true } as const
    this.#passed = undefined
    return join([encodeControl('gap', gap, from), bytes])
  }

  #takeOwed(): Uint8Array {
    const bytes = join(this.#owed.map((frame) => frame.bytes))
    this.#owed = []
    return bytes
  }

  #endWith(bytes: Uint8Array): Uint8Array {
    this.#final = true
    return bytes
  }

  #sayAgain(): Uint8Array | undefined {
    this.#repeatDue = false
    if (this.#start.isDemo) this.#deadlines.putOffBeat() // it carries no checkpoints that could fall due
    return this.#repeat?.of.bytes ?? this.#next()
  }

  #beat(): Uint8Array {
    this.#beatDue = false
    if (this.#start.isDemo || this.#sent === this.#position) return HEARTBEAT
    this.#sent = this.#position
    return encodeControl('checkpoint', {}, this.#id(this.#position))
  }

  #rouse(): void {
    if (!this.#waiting) return
    this.#group.waiting.delete(this)
    this.wake(this.#feed.window.head)
  }

  get #wanted(): Wanted {
    return { asked: this.#start.asked, history: this.#history }
  }

  get #standing(): Standing {
    return { epoch: this.#feed.epoch, joinedAt: this.#joinedAt, floor: this.#feed.window.floor }
  }

  /** Owes the reader its first frames; the id of each is the position that it goes on from. */
  #begin({ position, state, gap }: Opened): void {
    this.#opened = true
    this.#sent = this.#position = position
    const { isDemo } = this.#start
    if (!isDemo) this.#owe(encodeControl('open', { state, stream: this.stream }, this.#id(position)))
    if (gap) this.#oweGap(gap)
    this.#oweCloses()
    if (isDemo) this.#oweCurrent(state)
  }

  /** The demo's stream starts with the current value: as it is placed, or said again after what was missed. */
  #oweCurrent(state: 'live' | 'resumed' | 'gap'): void {
    const entry = this.#repeat!.of.entry!
    if (state !== 'live') {
      this.#repeatDue = true
      return
    }
    // Before the first message there is only the default, whose place is where we stand; else the newest is ours already.
    const seq = entry.seq === 0 ? this.#position : entry.seq
    this.#position = Math.max(this.#position, seq)
    this.#sent = seq
    this.#owe(new Frame({ ...entry, seq }, this.#feed.epoch).bytes)
  }

  #oweGap({ reason, from, to, exact }: Gap): void {
    this.#feed.events.gap?.(reason)
    this.#owe(encodeControl('gap', { reason, from, to: this.#id(to), exact }, this.#id(this.#position)))
    this.#sent = this.#position
  }

  /** Tells of the closes that no entry will tell of, because the position is past them. */
  #oweCloses(): void {
    if (this.#ending?.head === 0) return // it is to end with nothing more
    for (const close of this.#closed.due(this.#position)) {
      const { topic } = close
      this.#owed.push({ bytes: encodeControl('closed', { topic }, this.#id(this.#position)), close })
    }
  }

  #owe(bytes: Uint8Array): void {
    this.#owed.push({ bytes })
  }

  /** @throws AppError `stream_unknown` if it has ended, or is about to */
  assertOpen(): void {
    if (this.#ended || this.#ending) throw new AppError('stream_unknown', 'Cannot change this stream: it has ended')
  }

  #warn(expires: Date): void {
    this.#rouse() // first, so that the position is where the reader stands
    this.#owe(encodeControl('expiring', { at: expires.toISOString() }, this.#id(this.#position)))
    this.onReady()
  }

  #countReplay(isBehind: boolean): void {
    if (this.#replaying === isBehind) return
    this.#replaying = isBehind
    this.#feed.replays.open += isBehind ? 1 : -1
  }

  #fetch(): undefined {
    if (this.#fetching || this.#pace.isWaiting) return
    this.#countReplay(true)
    if (this.#pace.mustWait()) {
      this.#feed.wheel.add(this, this.nextTick)
      return
    }
    this.#fetching = true
    this.#ask().then(
      () => {
        this.#fetching = false
        this.onReady()
      },
      (cause) => {
        this.#fetching = false
        this.#fail(cause)
      },
    )
  }

  /** Better to end, and let the reader come back with its position, than to guess what it is owed. */
  #fail(cause: unknown): void {
    this.#failure = cause instanceof AppError ? cause : new AppError('internal', 'Cannot go on', { cause })
    this.#ending = { why: 'failed', bytes: encodeEnding(jitter(this.#feed.retryMs)), head: 0 }
    this.#rouse()
    this.onReady()
  }

  /** Learns from the log what comes next, and what can no longer come. */
  async #ask(): Promise<void> {
    const { epoch, reads, window, maxChunkBytes, replayRate } = this.#feed
    const { filter, latest } = this.#group.selection
    const { edition } = window
    const limit = { count: READ_COUNT, bytes: maxChunkBytes, latest }
    const page = await reads.read(this.#position, limit, filter, () => this.#ended)
    // Closes may be gone with what was trimmed, or be later than the last look.
    if ((page.trimmed && page.trimmed.to > this.#gapTo) || this.#mustLookAgain()) await this.look()
    // Where something was erased meanwhile, or other topics are asked for, it is to be read again.
    const isStale = edition !== window.edition || filter !== this.#group.selection.filter
    if (this.#ended || this.#ending?.head === 0 || isStale) return
    if (this.#opened) this.#tellOf(page)
    else {
      const opened = openFrom(page, this.#wanted, this.#standing)
      this.#begin(opened)
      if (opened.gap?.reason === 'ahead') return // the page is of a position that the log has not come to
    }
    this.#gapTo = Math.max(this.#gapTo, page.trimmed?.to ?? 0)
    const frames = page.entries.map((entry) => new Frame(entry, epoch))
    const chunk = chunkOf(frames, page.scannedTo, maxChunkBytes)
    const given = frames.filter(({ seq }) => seq <= chunk.sent).length
    this.#pace.pay(given, replayRate)
    const { conflated } = page
    const isPassed = conflated !== undefined && conflated <= chunk.to
    this.#page = { chunk: isPassed ? { ...chunk, conflated } : chunk, edition }
  }

  #tellOf(page: Page): void {
    const { trimmed } = page
    if (!trimmed || trimmed.to <= this.#gapTo) return
    const from = this.#id(this.#position)
    this.#position = positionBefore(page)
    this.#oweGap({ reason: 'trimmed', from, ...trimmed })
    this.#oweCloses()
  }

  /** Whether it is about to open at a position that the head had not come to when it was taken. */
  #mustLookAgain(): boolean {
    const { asked } = this.#start
    if (this.#opened || typeof asked !== 'object') return false
    return asked.epoch !== this.#feed.epoch || asked.seq > this.#joinedAt
  }

  #id(seq: number): string {
    return formatPosition(this.#feed.epoch, seq)
  }
}

/** 128 random bits, in hex. */
export function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Half to all of a time, so that those who leave together do not come back together. */
export function jitter(ms: number): number {
  return Math.round(ms * (0.5 + Math.random() / 2))
}
