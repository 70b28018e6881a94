import { AppError } from '../errors.ts'
import type { Page } from '../log/log.ts'
import type { Turns } from '../turn.ts'
import type { GapReason } from './frame.ts'
import { encodeControl, encodeEnding, encodeOpening, Frame, HEARTBEAT, join } from './frame.ts'
import type { Group, Waiter } from './interests.ts'
import { formatPosition, type Position } from './position.ts'
import type { Reads } from './reads.ts'
import type { Repeat } from './repeats.ts'
import type { SharedChunks } from './shared.ts'
import type { Timed, Wheel } from './wheel.ts'
import { type Chunk, chunkOf, type Window } from './window.ts'

/** Entries that one read of the log asks for, at most: what they cost, everybody else waits for. */
const READ_COUNT = 64
/** How far a replay may be ahead of its rate: about what the clock's grain makes of it anyway. */
const REPLAY_BURST_MS = 100

const NEVER = Number.POSITIVE_INFINITY

/** How long before its end a stream is told of it. */
const WARNING_MS = 30_000
/** How often it is looked whether a stream that is still being opened can be told. */
const OPENING_MS = 500

/** What a subscription needs of its hub. */
export interface Feed {
  readonly epoch: string
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
  /** Where the reader wants to go on: nowhere in particular, at a position, or at what is no position of any log. */
  readonly asked: Position | 'unknown' | undefined
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
  readonly leave: (subscription: Subscription) => void
  /** Cuts off the reader: it has not taken what it was given for `stallMs`. */
  readonly drop: () => void
}

/** What a subscription says first, found out while it is already told of what happens. */
export interface Opening {
  /** Where it begins when it asked for no position but for history. `vouched`: whether all that it asked for comes after that. */
  readonly history?: { readonly after: number; readonly vouched: boolean }
  readonly repeat?: { readonly of: Repeat; readonly everyMs: number }
}

/**
 * A position in the log that moves when it is read. Live, catching up and slow are one loop: `read` gives what is due after
 * the position, from the window or, below its floor, from the log. Between two reads this is an integer and at most one chunk.
 *
 * It takes the head when it is made, and is told of everything that happens from then on. Only then its hub looks what had happened
 * before (`look`), and opens it: so nothing falls between the two. That a topic is closed it learns from the entries after its
 * position, and for what is at or before the position from a look, of which there is one whenever the position has jumped.
 *
 * A carrier calls `read` when it can send. If it gets nothing, it waits for `onReady`, unless `ended`.
 */
export class Subscription implements AsyncIterable<Uint8Array>, Waiter, Timed {
  /** Names this stream to its reader: 128 random bits. */
  readonly stream = randomName()
  /** Called when `read` may give something again. One carrier, one callback. */
  onReady: () => void = () => {}

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
  /** Control frames, due before any entry, and the topic whose close one tells of. */
  #owed: { readonly bytes: Uint8Array; readonly closes?: { readonly topic: string; readonly seq: number } }[]
  /** What the log gave, and the window's edition at that time. */
  #page: { readonly chunk: Chunk; readonly edition: number } | undefined
  /** Counted among those that are behind the window. */
  #replaying = false
  /** Until when what the log gave is paid for by the replay rate, and whether the clock is awaited for that. */
  #paidUntil = 0
  #resting = false
  /** What was passed over for newer entries and not yet told, for readers that asked. */
  #passed: { readonly from: number; readonly to: number } | undefined
  #fetching = false
  /** It has once had all there was. */
  #isLive = false
  /** Waits for a turn in which to go on. */
  #looking = false
  /** End of the last gap that the reader was told of. */
  #gapTo = 0
  /** Topics that the reader was told are closed, or is about to be, with the seq of the close. */
  #closed = new Map<string, number>()
  /** What a look has found, until the reader is told of it. */
  readonly #found = new Map<string, number>()
  /** Looks under way, and up to which seq topics have been deleted since the first of them began. */
  #looks = 0
  readonly #deletedTo = new Map<string, number>()
  #repeating: Opening['repeat']
  #history: Opening['history']
  #failure: AppError | undefined
  /** Last words, due once everything up to `head` is sent. */
  #ending: { readonly bytes: Uint8Array; readonly head: number } | undefined
  #final = false
  #ended = false
  #beatDue = false
  #repeatDue = false
  #handedAt = NEVER
  #beatAt: number
  #repeatAt = NEVER
  #diesAt: number
  /** When it may not go on any longer, and when that is to be said: on the clock of `performance.now()`. */
  #expiresAt = NEVER
  #warnsAt = NEVER

  constructor(feed: Feed, start: Start) {
    this.#feed = feed
    this.#start = start
    this.#group = start.group
    this.#joinedAt = this.#position = this.#sent = feed.window.head
    this.#owed = [{ bytes: encodeOpening(feed.retryMs) }]
    const now = performance.now()
    this.#beatAt = now + feed.heartbeatMs
    this.#diesAt = now + start.lifetimeMs
    if (start.expiresAt !== undefined) this.#expire(start.expiresAt)
  }

  /** Finds out which topics are closed by an entry that this may be past. @throws AppError `log_unavailable`, `log_unusable` */
  async look(): Promise<void> {
    this.#looks++
    const group = this.#group
    try {
      const closed = await this.#feed.reads.closed(group.selection.filter.topics)
      if (this.#group !== group) return // it has gone on with other topics, which are looked for by themselves
      for (const [topic, seq] of closed) if (seq > (this.#deletedTo.get(topic) ?? 0)) this.#found.set(topic, seq)
    } finally {
      this.#looks--
      if (this.#looks === 0) this.#deletedTo.clear()
    }
  }

  /** Whether nothing can come after the position that was asked for: all topics are closed, at or before it. */
  get isOver(): boolean {
    const { asked } = this.#start
    const { topics, patterns } = this.#group.selection.filter
    if (asked === undefined || asked === 'unknown' || asked.epoch !== this.#feed.epoch || patterns.length > 0)
      return false
    return [...topics].every((topic) => (this.#found.get(topic) ?? NEVER) <= asked.seq)
  }

  /** Begins to give, once a first `look` is done. */
  open({ history, repeat }: Opening): void {
    this.#history = history
    this.#repeating = repeat
    this.#repeatAt = performance.now() + (repeat?.everyMs ?? NEVER)
    this.#feed.wheel.add(this, this.nextTick)
    this.#begin()
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
  get place(): string {
    return this.#id(this.position)
  }

  /** No more will come. */
  get ended(): boolean {
    return this.#ended
  }

  /** When `tick` wants to be called, on the clock of `performance.now()`. */
  get nextTick(): number {
    // Whatever it is handed until then, it cannot stall earlier than this.
    const stallsAt = performance.now() + this.#feed.stallMs
    const isDueAgain = this.#resting ? this.#paidUntil - REPLAY_BURST_MS : NEVER
    const handedLong = this.#handedAt + this.#feed.stallMs
    const ends = Math.min(this.#diesAt, this.#warnsAt, this.#expiresAt)
    return Math.min(this.#beatAt, this.#repeatAt, ends, stallsAt, handedLong, isDueAgain)
  }

  /** It has been given all there is. */
  get idle(): boolean {
    return this.#waiting
  }

  /** Whole frames that are due, `maxChunkBytes` or one frame at most, or nothing yet. Asking says that the last ones are sent. */
  read(): Uint8Array | undefined {
    this.#handedAt = NEVER
    if (this.#final) this.close()
    if (this.#ended) return
    const bytes = this.#next()
    if (bytes) this.#handedAt = performance.now()
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

  /** The reader has gone. Calling it twice is allowed. */
  close(): void {
    if (this.#ended) return
    this.#ended = true
    this.#owed = []
    this.#page = undefined
    this.#replay(false)
    this.#group.waiting.delete(this)
    this.#start.leave(this)
    this.onReady()
  }

  /**
   * Ends the stream once what is due by now is sent, or at once with nothing more; the reader is to come back after `retryMs`.
   */
  finish(retryMs: number, isAtOnce = false): void {
    this.#diesAt = this.#warnsAt = NEVER
    if (isAtOnce) this.#expiresAt = NEVER // else it bounds what is still sent
    if (this.#ended || (this.#ending && !isAtOnce)) return
    this.#ending = { bytes: encodeEnding(retryMs), head: isAtOnce ? 0 : this.#feed.window.head }
    if (isAtOnce) this.#owed = []
    this.#rouse()
  }

  wake(head: number): void {
    this.#position = Math.max(this.#position, head) // the log may have given more than was delivered yet
    this.#waiting = false
    this.onReady()
  }

  tick(now: number): number {
    if (now >= this.#handedAt + this.#feed.stallMs) {
      this.close()
      this.#start.drop()
      return NEVER
    }
    if (now >= this.#diesAt) this.finish(jitter(this.#feed.retryMs))
    if (now >= this.#expiresAt) this.finish(this.#feed.retryMs, true)
    if (now >= this.#warnsAt) this.#warn(now)
    if (now >= this.#beatAt) {
      this.#beatAt = now + this.#feed.heartbeatMs
      this.#beatDue = this.#waiting
    }
    if (now >= this.#repeatAt) {
      const { everyMs } = this.#repeating!
      this.#repeatAt += Math.ceil((now - this.#repeatAt + 1) / everyMs) * everyMs
      this.#repeatDue = this.#waiting // a reader that still owes a drain gets this one not at all
    }
    if (this.#beatDue || this.#repeatDue) this.#rouse()
    if (this.#resting && now >= this.#paidUntil - REPLAY_BURST_MS) {
      this.#resting = false
      this.onReady()
    }
    return this.nextTick
  }

  /** Another end, in the place of the one it had; none if it is missing. */
  renew(expiresAt: number | undefined): void {
    this.assertOpen()
    this.#expiresAt = this.#warnsAt = NEVER
    if (expiresAt !== undefined) this.#expire(expiresAt)
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
    this.#owed = this.#owed.filter(({ closes }) => closes === undefined || filter.topics.has(closes.topic))
    this.#closed = new Map([...this.#closed].filter(([topic]) => filter.topics.has(topic)))
    this.#found.clear()
    this.#passed = undefined
    this.#gapTo = 0
    this.#repeatAt = NEVER // what it repeated may be none of its topics any more
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
    if (!this.#group.selection.filter.topics.has(topic)) return
    if (this.#looks > 0) this.#deletedTo.set(topic, Math.max(upTo, this.#deletedTo.get(topic) ?? 0))
    for (const known of [this.#closed, this.#found]) if ((known.get(topic) ?? NEVER) <= upTo) known.delete(topic)
    this.#owed = this.#owed.filter(({ closes }) => closes?.topic !== topic || closes.seq > upTo)
  }

  #next(): Uint8Array | undefined {
    if (this.#found.size > 0 && this.#opened) this.#oweFound()
    if (this.#owed.length > 0) return this.#takeOwed()
    if (this.#isComplete()) return this.#endWith(encodeEnding(this.#feed.retryMs))
    if (this.#ending && (this.#position >= this.#ending.head || this.#isBehind()))
      return this.#endWith(this.#ending.bytes)
    if (this.#looking) return
    // Some of what the log gave has been erased since, and nobody is to get it any more.
    if (this.#page && this.#page.edition !== this.#feed.window.edition) this.#page = undefined
    if (this.#isBehind() && !this.#page) return this.#fetch()
    const chunk = this.#take()
    if (!chunk) return this.#rest()
    if (chunk.conflated !== undefined && this.#start.gaps)
      this.#passed = { from: this.#passed?.from ?? this.#position, to: chunk.conflated }
    this.#position = chunk.to
    if (!this.#isBehind()) this.#replay(false)
    const isEnough = chunk.full && !(this.#isLive && chunk.bytes)
    if (isEnough) this.#lookOn()
    if (chunk.bytes) return this.#hand(chunk, chunk.bytes)
    return isEnough ? undefined : this.#next()
  }

  /** It has all there is: what does not depend on that is due, or nothing. */
  #rest(): Uint8Array | undefined {
    this.#replay(false)
    if (this.#repeatDue) return this.#repeat()
    if (this.#beatDue) return this.#beat()
    this.#waiting = this.#isLive = true
    this.#group.waiting.add(this)
    return
  }

  /** Whether only the log can tell what comes next: below the window, and as far as it has told of a gap. */
  #isBehind(): boolean {
    return !this.#opened || this.#position < Math.max(this.#feed.window.floor, this.#gapTo)
  }

  /** Whether nothing can ever come: all topics are closed, and a pattern never completes. */
  #isComplete(): boolean {
    const { topics, patterns } = this.#group.selection.filter
    return this.#opened && patterns.length === 0 && this.#closed.size === topics.size
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
  #lookOn(): void {
    this.#looking = true
    this.#feed.turns.run(() => {
      this.#looking = false
      this.onReady()
    })
  }

  #hand(chunk: Chunk, bytes: Uint8Array): Uint8Array {
    this.#sent = chunk.sent
    this.#beatAt = performance.now() + this.#feed.heartbeatMs
    this.#beatDue = false
    for (const { topic, seq } of chunk.closes)
      if (this.#group.selection.filter.topics.has(topic)) this.#closed.set(topic, seq)
    if (!this.#passed) return bytes
    const from = this.#id(this.#passed.from)
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

  #repeat(): Uint8Array | undefined {
    this.#repeatDue = false
    if (this.#start.isDemo) this.#beatAt = performance.now() + this.#feed.heartbeatMs // it carries no checkpoints that could fall due
    return this.#repeating?.of.bytes ?? this.#next()
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

  #begin(): void {
    const { epoch, window } = this.#feed
    const { asked } = this.#start
    const history = this.#history
    if (history) {
      this.#position = history.after
      if (history.after >= window.floor) this.#open('live')
    } else if (asked === undefined) this.#open('live')
    else if (asked === 'unknown') this.#open('gap', { reason: 'unknown', from: null, to: window.head, exact: false })
    else if (asked.epoch !== epoch) this.#position = 0
    else {
      this.#position = asked.seq
      // Below the window the log says what is left; above the head that we joined at, whether there is such a position yet.
      if (asked.seq >= window.floor && asked.seq <= this.#joinedAt) this.#open('resumed')
    }
    this.#replay(!this.#opened)
  }

  /** Owes the reader its first frames; the id of each is the position that it goes on from. */
  #open(state: 'live' | 'resumed' | 'gap', gap?: Gap): void {
    this.#opened = true
    this.#sent = this.#position
    if (!this.#start.isDemo) this.#owe(encodeControl('open', { state, stream: this.stream }, this.#id(this.#position)))
    if (gap) this.#oweGap(gap)
    this.#oweFound()
    if (this.#start.isDemo) this.#oweCurrent(state)
  }

  /** The seed's stream starts with the current value: as it is placed, or said again after what was missed. */
  #oweCurrent(state: 'live' | 'resumed' | 'gap'): void {
    const entry = this.#repeating!.of.entry!
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
    this.#owe(encodeControl('gap', { reason, from, to: this.#id(to), exact }, this.#id(this.#position)))
    this.#sent = this.#position
  }

  /** Tells of the closes that a look found, as soon as the position is past them and no entry has told of them. */
  #oweFound(): void {
    if (this.#ending?.head === 0) return // it is to end with nothing more
    for (const [topic, seq] of this.#found) {
      if (seq > this.#position) continue
      this.#found.delete(topic)
      if ((this.#closed.get(topic) ?? 0) >= seq) continue
      this.#closed.set(topic, seq)
      this.#owed.push({ bytes: encodeControl('closed', { topic }, this.#id(this.#position)), closes: { topic, seq } })
    }
  }

  #owe(bytes: Uint8Array): void {
    this.#owed.push({ bytes })
  }

  /** @throws AppError `stream_unknown` if it has ended, or is about to */
  assertOpen(): void {
    if (this.#ended || this.#ending) throw new AppError('stream_unknown', 'Cannot change this stream: it has ended')
  }

  #expire(expiresAt: number): void {
    this.#expiresAt = performance.now() + expiresAt - Date.now()
    this.#warnsAt = this.#expiresAt - WARNING_MS
  }

  #warn(now: number): void {
    const isOpen = this.#opened
    this.#warnsAt = isOpen ? NEVER : now + OPENING_MS
    if (!isOpen || this.#start.isDemo || now >= this.#expiresAt) return
    const at = new Date(Date.now() + this.#expiresAt - now).toISOString()
    this.#rouse() // first, so that the position is where the reader stands
    this.#owe(encodeControl('expiring', { at }, this.#id(this.#position)))
    this.onReady()
  }

  #replay(isBehind: boolean): void {
    if (this.#replaying === isBehind) return
    this.#replaying = isBehind
    this.#feed.replays.open += isBehind ? 1 : -1
  }

  #fetch(): undefined {
    if (this.#fetching || this.#resting) return
    this.#replay(true)
    if (this.#paidUntil - REPLAY_BURST_MS > performance.now()) {
      this.#resting = true
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
    this.#ending = { bytes: encodeEnding(jitter(this.#feed.retryMs)), head: 0 }
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
    if ((page.trimmed && page.trimmed.to > this.#gapTo) || this.#isLateLook()) await this.look()
    // Where something was erased meanwhile, or other topics are asked for, it is to be read again.
    const isStale = edition !== window.edition || filter !== this.#group.selection.filter
    if (this.#ended || this.#ending?.head === 0 || isStale) return
    if (this.#opened) this.#tellOf(page)
    else if (this.#isAhead(page)) {
      this.#openAhead()
      return
    } else this.#openFrom(page)
    this.#gapTo = Math.max(this.#gapTo, page.trimmed?.to ?? 0)
    const frames = page.entries.map((entry) => new Frame(entry, epoch))
    const chunk = chunkOf(frames, page.scannedTo, maxChunkBytes)
    const given = frames.filter(({ seq }) => seq <= chunk.sent).length
    this.#paidUntil = Math.max(this.#paidUntil, performance.now()) + (given * 1000) / replayRate
    const { conflated } = page
    const isPassed = conflated !== undefined && conflated <= chunk.to
    this.#page = { chunk: isPassed ? { ...chunk, conflated } : chunk, edition }
  }

  #tellOf(page: Page): void {
    const { trimmed } = page
    if (!trimmed || trimmed.to <= this.#gapTo) return
    const from = this.#id(this.#position)
    this.#position = placeOf(page)
    this.#oweGap({ reason: 'trimmed', from, ...trimmed })
    this.#oweFound()
  }

  /** Whether it is about to open at a position that the head had not come to when it was taken. */
  #isLateLook(): boolean {
    const { asked } = this.#start
    if (this.#opened || typeof asked !== 'object') return false
    return asked.epoch !== this.#feed.epoch || asked.seq > this.#joinedAt
  }

  /** Whether it asked to go on at a place that the log has not come to. */
  #isAhead({ scannedTo }: Page): boolean {
    const { asked } = this.#start
    return typeof asked === 'object' && asked.epoch === this.#feed.epoch && scannedTo < asked.seq
  }

  /** What comes from now on is given, whatever it asked for; so what the log said of that place is of no use. */
  #openAhead(): void {
    const { epoch, seq } = this.#start.asked as Position
    this.#position = this.#joinedAt
    this.#open('gap', { reason: 'ahead', from: formatPosition(epoch, seq), to: this.#joinedAt, exact: false })
  }

  #openFrom(page: Page): void {
    if (this.#history) {
      this.#openWithHistory(this.#history, page)
      return
    }
    const { epoch, seq } = this.#start.asked as Position
    const from = formatPosition(epoch, seq)
    const isOurs = epoch === this.#feed.epoch
    if (isOurs && !page.trimmed) {
      this.#open('resumed')
      return
    }
    const to = placeOf(page)
    this.#position = to
    if (!isOurs) this.#open('gap', { reason: 'epoch', from, to, exact: false })
    else this.#open('gap', { reason: 'trimmed', from, ...page.trimmed! })
  }

  /** Of what is kept: what is not was not asked for, unless nobody can tell. */
  #openWithHistory({ after, vouched }: NonNullable<Opening['history']>, page: Page): void {
    const { trimmed } = page
    if (trimmed) this.#position = placeOf(page)
    if (!trimmed || vouched) this.#open('live')
    else this.#open('gap', { reason: 'trimmed', from: this.#id(after), to: trimmed.to, exact: false })
  }

  #id(seq: number): string {
    return formatPosition(this.#feed.epoch, seq)
  }
}

interface Gap {
  readonly reason: GapReason
  readonly from: string | null
  readonly to: number
  readonly exact: boolean
}

/** The position before what a page has to give. */
function placeOf({ entries, scannedTo }: Page): number {
  return entries.length > 0 ? entries[0]!.seq - 1 : scannedTo
}

/** 128 random bits, in hex. */
export function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Half to all of a time, so that those who leave together do not come back together. */
export function jitter(ms: number): number {
  return Math.round(ms * (0.5 + Math.random() / 2))
}
