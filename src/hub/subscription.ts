import { AppError } from '../errors.ts'
import type { HubContext, Start } from './context.ts'
import { Cursor } from './cursor.ts'
import { Deadlines, NEVER } from './deadlines.ts'
import type { EndReason } from './events.ts'
import { encodeEnding } from './frame.ts'
import type { Group, Waiter } from './interests.ts'
import type { Lookup, Opened } from './opening.ts'
import { jitter, randomName } from './random.ts'
import { Replay } from './replay.ts'
import type { Timed } from './wheel.ts'
import type { Chunk } from './window.ts'

/**
 * One reader's position in the log, which moves with each read. Live, slow and catching-up readers run the same loop: `read` returns what
 * is due after the position, from the window or, below the window's floor, from the log. Between two reads a subscription holds a
 * position and at most one chunk.
 *
 * A new subscription starts at the head and is woken by every later entry. Only then does the hub look up which topics were closed before
 * (`look`) and open the subscription (`open`), so that no entry or close is lost in between.
 *
 * A carrier (the code that writes the response) calls `read` when it can send. If `read` returns nothing, the carrier waits for
 * `onReady`, unless `ended`.
 */
export class Subscription implements AsyncIterable<Uint8Array>, Waiter, Timed {
  /** Names this stream to its reader: 128 random bits. */
  readonly stream = randomName()
  /** Called when `read` may return something again. There is one carrier, and so one callback. */
  onReady: () => void = () => {}

  /** When the subscription was made, on the clock of `performance.now()`. */
  readonly openedAt = performance.now()
  #events = 0
  #bytes = 0

  readonly #context: HubContext
  readonly #start: Start
  #group: Group
  /** Whether the reader has got every entry and waits for the next one. Its position then follows the head. */
  #waiting = false
  readonly #cursor: Cursor
  readonly #replay: Replay
  readonly #deadlines: Deadlines
  #repeat: Lookup['repeat']
  /** Whether the reader has caught up with the head at least once. */
  #isLive = false
  /** Whether the next read has to wait for another turn of the event loop. */
  #waitsForTurn = false
  #failure: AppError | undefined
  /** How the stream ends: its last frame is sent once everything up to `head` was sent. */
  #ending: { readonly why: EndReason; readonly bytes: Uint8Array; readonly head: number } | undefined
  #final = false
  #ended = false

  constructor(context: HubContext, start: Start) {
    this.#context = context
    this.#start = start
    this.#group = start.group
    this.#cursor = new Cursor(context, start)
    this.#replay = new Replay(context)
    this.#deadlines = new Deadlines(context.heartbeatMs, context.stallMs, start.lifetimeMs)
    if (start.expiresAt !== undefined) this.#deadlines.expire(start.expiresAt)
  }

  /** Looks up which topics were closed at or before the position. @throws AppError `log_unavailable`, `log_unusable` */
  look(): Promise<void> {
    return this.#cursor.closed.look(this.#context.logReader)
  }

  /** Whether the stream has nothing to send: all its topics were closed at or before the position that the reader sent. */
  get isOver(): boolean {
    return this.#cursor.isOver
  }

  /** Lets `read` return something. Call it after the first `look`. */
  open(lookup: Lookup): void {
    this.#repeat = lookup.repeat
    this.#deadlines.repeat(lookup.repeat?.everyMs)
    this.#context.wheel.add(this, this.nextTick)
    const opened = this.#cursor.open(lookup, this.stream)
    if (opened) this.#begin(opened)
    if (this.#isEndingAtOnce()) this.#cursor.clearOwed()
    this.#replay.count(!opened)
  }

  /** Names the reader in output lines. */
  get who(): string | undefined {
    return this.#start.who
  }

  /** How many events were given to the reader so far, and how many bytes, control frames and comments included. */
  get handed(): { readonly events: number; readonly bytes: number } {
    return { events: this.#events, bytes: this.#bytes }
  }

  /** The error, if the stream ended because the log could not be read. What the stream has sent may then be incomplete. */
  get failure(): AppError | undefined {
    return this.#failure
  }

  /** The reader has got everything up to and including this seq. */
  get position(): number {
    const { position } = this.#cursor
    return this.#waiting ? Math.max(position, this.#context.window.head) : position
  }

  /** The position as an id, with which the reader can resume. */
  get positionId(): string {
    return this.#cursor.id(this.position)
  }

  /** Whether the stream has ended: `read` returns nothing any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** When `tick` has to be called, on the clock of `performance.now()`. */
  get nextTick(): number {
    return Math.min(this.#deadlines.next(performance.now()), this.#replay.resumesAt)
  }

  /** Whether the reader has got every entry and waits for the next one. */
  get idle(): boolean {
    return this.#waiting
  }

  /** All readers with this subscription's selection. They are woken together. */
  get group(): Group {
    return this.#group
  }

  /** Returns the next whole frames, if any are due: at most `maxChunkBytes`, or one longer frame. Call it once the last result is sent. */
  read(): Uint8Array | undefined {
    this.#deadlines.taken()
    if (this.#final) this.close(this.#ending?.why ?? 'complete')
    if (this.#ended) return
    const bytes = this.#next()
    if (!bytes) return
    this.#deadlines.handed()
    this.#bytes += bytes.byteLength
    return bytes
  }

  /** Yields chunks until the stream ends. Leaving the loop closes the subscription. */
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

  /** Ends the stream at once, without a last frame. Calling it twice is allowed. */
  close(why: EndReason = 'gone'): void {
    if (this.#ended) return
    this.#ended = true
    this.#cursor.clearOwed()
    this.#replay.drop()
    this.#replay.count(false)
    this.#group.waiting.delete(this)
    this.#start.leave(this, why)
    this.onReady()
  }

  /** Ends the stream once everything due by now is sent, or at once. Its last bytes tell the client to reconnect after `retryMs`. */
  finish(why: EndReason, retryMs: number, isAtOnce = false): void {
    this.#deadlines.end(isAtOnce)
    if (this.#ended || (this.#ending && !isAtOnce)) return
    this.#ending = { why, bytes: encodeEnding(retryMs), head: isAtOnce ? 0 : this.#context.window.head }
    if (isAtOnce) this.#cursor.clearOwed()
    this.#rouse()
  }

  wake(head: number): void {
    this.#cursor.position = Math.max(this.#cursor.position, head) // a read of the log may already be past this head
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
    if (deadlines.isOld(now)) this.finish('lifetime', jitter(this.#context.retryMs))
    if (deadlines.isExpired(now)) this.finish('expired', this.#context.retryMs, true)
    const expires = deadlines.takeWarning(now, this.#cursor.isOpen)
    if (expires && !this.#start.isDemo) this.#warn(expires)
    if (deadlines.isAnythingDue(now, this.#waiting)) this.#rouse()
    if (this.#replay.takeResume(now)) this.onReady()
    return this.nextTick
  }

  /** @throws AppError `stream_unknown` if the stream has ended or is about to */
  assertOpen(): void {
    if (this.#ended || this.#ending) throw new AppError('stream_unknown', 'Cannot change this stream: it has ended')
  }

  /** Sets when the stream must end, in ms since 1970; undefined for never. @throws AppError `stream_unknown` */
  renew(expiresAt: number | undefined): void {
    this.assertOpen()
    this.#deadlines.expire(expiresAt)
    this.#context.wheel.add(this, this.nextTick)
  }

  /**
   * Moves the stream to another group, and so to other topics. It continues from its position.
   *
   * @throws AppError `log_unavailable`, `log_unusable`: the stream ends
   */
  async change(group: Group): Promise<void> {
    this.#cursor.position = this.position // a waiting reader has got everything of its former topics up to the head
    const wasWaiting = this.#waiting
    this.#waiting = false
    this.#group.waiting.delete(this)
    this.#cursor.change(group.selection.filter)
    this.#replay.restart()
    this.#deadlines.repeat(undefined) // the repeated topic may not be among the new topics
    const before = this.#group
    this.#group = group
    this.#start.change(before)
    if (wasWaiting) this.onReady()
    try {
      await this.look()
    } catch (cause) {
      if (this.#group !== group) return // the topics were changed again, and that call looks again
      this.#fail(cause)
      throw cause
    }
    this.#rouse()
  }

  /** A topic was deleted up to a seq: if it was closed at or before that seq, it is open again. */
  reopen(topic: string, upTo: number): void {
    this.#cursor.reopen(topic, upTo)
  }

  #next(): Uint8Array | undefined {
    const cursor = this.#cursor
    if (cursor.closed.hasFound && cursor.isOpen && !this.#isEndingAtOnce()) cursor.oweCloses()
    if (!cursor.owesNothing) return cursor.takeOwed()
    if (cursor.isOpen && cursor.closed.isComplete) return this.#endWith(encodeEnding(this.#context.retryMs))
    if (this.#ending && (cursor.position >= this.#ending.head || this.#isBehind()))
      return this.#endWith(this.#ending.bytes)
    if (this.#waitsForTurn) return
    const isReady = this.#replay.isReady
    if (this.#isBehind() && !isReady) return this.#startReplay()
    const chunk = isReady ? this.#replay.take() : this.#chunk()
    if (!chunk) return this.#rest()
    cursor.pass(chunk)
    if (this.#replay.isCounted && !this.#isBehind()) this.#replay.count(false)
    const isEnough = chunk.full && !(this.#isLive && chunk.bytes)
    if (isEnough) this.#continueLater()
    if (chunk.bytes) return this.#hand(chunk, chunk.bytes)
    return isEnough ? undefined : this.#next()
  }

  /** For a reader that has got every entry: returns a repeat or heartbeat if one is due, or else waits for the next entry. */
  #rest(): Uint8Array | undefined {
    this.#replay.count(false)
    if (this.#deadlines.takeRepeatDue()) return this.#repeatNow()
    if (this.#deadlines.takeBeatDue()) return this.#cursor.beat()
    this.#waiting = this.#isLive = true
    this.#group.waiting.add(this)
    return
  }

  /** Whether the next entries have to be read from the log. */
  #isBehind(): boolean {
    return !this.#cursor.isOpen || this.#cursor.position < this.#replay.floor
  }

  /** The window's chunk after the position, shared with readers of the group at the same position. Undefined at the window's head. */
  #chunk(): Chunk | undefined {
    const { window, maxChunkBytes, shared } = this.#context
    const { position } = this.#cursor
    if (position >= window.head) return
    const group = this.#group
    const known = shared.get(group, position)
    if (known && (known.full || known.to === window.head)) return known
    const chunk = window.chunk(position, group.selection, maxChunkBytes)
    if (group.size > 1) shared.keep(group, position, chunk)
    return chunk
  }

  /**
   * Continues in another turn. A reader that is catching up gets one full chunk per turn, or one search by a pattern that finds nothing.
   * A reader that was once live gets everything that has accumulated in one turn, so that the hub takes in entries no faster than it sends
   * them.
   */
  #continueLater(): void {
    this.#waitsForTurn = true
    this.#context.turns.run(() => {
      this.#waitsForTurn = false
      this.onReady()
    })
  }

  #hand(chunk: Chunk, bytes: Uint8Array): Uint8Array {
    this.#events += chunk.count
    this.#deadlines.putOffBeat()
    return this.#cursor.hand(chunk, bytes)
  }

  #endWith(bytes: Uint8Array): Uint8Array {
    this.#final = true
    return bytes
  }

  #repeatNow(): Uint8Array | undefined {
    if (this.#start.isDemo) this.#deadlines.putOffBeat() // the demo's stream has no checkpoints that a late heartbeat would delay
    return this.#repeat?.of.bytes ?? this.#next()
  }

  /** Makes a waiting reader read again. */
  #rouse(): void {
    if (!this.#waiting) return
    this.#group.waiting.delete(this)
    this.wake(this.#context.window.head)
  }

  /** The demo's stream repeats the current value after the entries that the reader has missed. */
  #begin({ state }: Opened): void {
    if (this.#start.isDemo && state !== 'live') this.#deadlines.repeatNow()
  }

  /** Whether the stream ends without sending what is due. */
  #isEndingAtOnce(): boolean {
    return this.#ending?.head === 0
  }

  #warn(expires: Date): void {
    this.#rouse() // first, because it moves the position of a waiting reader to the head
    this.#cursor.oweExpiring(expires)
    this.onReady()
  }

  #startReplay(): undefined {
    this.#replay.start(
      () => this.#readLog(),
      () => this.onReady(),
      (cause) => this.#fail(cause),
      () => this.#context.wheel.add(this, this.nextTick),
    )
  }

  /** Ends the stream because the log cannot be read. The client reconnects with its position, and loses nothing. */
  #fail(cause: unknown): void {
    this.#failure = cause instanceof AppError ? cause : new AppError('internal', 'Cannot go on', { cause })
    this.#ending = { why: 'failed', bytes: encodeEnding(jitter(this.#context.retryMs)), head: 0 }
    this.#rouse()
    this.onReady()
  }

  /** Reads the next page from the log, and reports the entries that were trimmed before it. */
  async #readLog(): Promise<void> {
    const cursor = this.#cursor
    const { selection } = this.#group
    const { edition } = this.#context.window
    const page = await this.#replay.read(cursor.position, selection, () => this.#ended)
    // A trimmed entry may have closed a topic, or a topic may have been closed after the last look.
    if (this.#replay.isLossNew(page) || cursor.mustLookAgain) await this.look()
    // After an erasure or a change of topics the page is stale, and is read again.
    const isStale = edition !== this.#context.window.edition || selection.filter !== this.#group.selection.filter
    if (this.#ended || this.#isEndingAtOnce() || isStale) return
    if (!cursor.isOpen) {
      const opened = cursor.openFrom(page, this.stream)
      this.#begin(opened)
      if (opened.gap?.reason === 'ahead') return // the page was read after a position that the log has not reached
    } else if (this.#replay.isLossNew(page)) cursor.lose(page)
    this.#replay.keep(page, edition)
  }
}
