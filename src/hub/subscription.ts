import { AppError } from '../errors.ts'
import type { HubContext, Start } from './context.ts'
import { Cursor } from './cursor.ts'
import { Deadlines, NEVER } from './deadlines.ts'
import { Ending, isPart } from './ending.ts'
import type { EndReason } from './events.ts'
import type { Group, Waiter } from './interests.ts'
import { gapError, type Lookup, type Opened } from './opening.ts'
import { jitter, randomName } from './random.ts'
import { Replay } from './replay.ts'
import type { Timed } from './wheel.ts'

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
 *
 * @example
 * const subscription: Subscription | undefined = await hub.subscribe(Filter.parse(['news/*']))
 * for await (const bytes of subscription ?? []) console.log(new TextDecoder().decode(bytes))
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
  /** How the stream ends, once that is decided. */
  #ending: Ending | undefined
  #endedBy: EndReason | undefined

  constructor(context: HubContext, start: Start) {
    this.#context = context
    this.#start = start
    this.#group = start.group
    this.#cursor = new Cursor(context, start)
    this.#replay = new Replay(context, this.#cursor, this)
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
    if (opened) this.begin(opened)
    if (this.#ending?.isAtOnce) this.#cursor.clearOwed()
    this.#replay.count(!opened)
  }

  /**
   * Begins a stream without control events: resolves when the log was read as far as needed to know that nothing is missing. Call it after
   * `open`, before the first `read`.
   *
   * @throws AppError `gap`, `log_unavailable`, `log_unusable`
   */
  async beginWhole(): Promise<void> {
    while (!this.#cursor.isOpen && !this.ended && !this.#ending)
      await new Promise<void>((resolve) => {
        this.onReady = resolve
        this.#replay.start()
      })
    if (this.#failure) throw this.#failure
    const gap = this.#cursor.firstGap
    if (!gap) return
    this.close('gap')
    throw gapError(gap)
  }

  /** Called when the position to begin at is known. The demo's stream repeats the current value after the entries that the reader has missed. */
  begin({ state }: Opened): void {
    if (this.#start.isDemo && state !== 'live') this.#deadlines.repeatNow()
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
    return this.#endedBy !== undefined
  }

  /** Whether the stream has ended and the carrier has to break the connection off, so that the client does not take a part for the whole. */
  get mustBreakOff(): boolean {
    return this.#endedBy !== undefined && isPart(this.#endedBy, this.#cursor.hasControl, this.#cursor.closed.isWhole)
  }

  /** Whether nothing that is read now will be sent, because the stream has ended or ends at once. */
  get sendsNoMore(): boolean {
    return this.ended || this.#ending?.isAtOnce === true
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
    if (this.#ending?.areLastBytesGiven) this.close(this.#ending.why)
    if (this.ended) return
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
      while (!this.ended) {
        const bytes = this.read()
        if (bytes) yield bytes
        else if (!this.ended) await new Promise<void>(ready)
      }
    } finally {
      this.close()
    }
  }

  /** Ends the stream at once, without a last frame. Calling it twice is allowed. */
  close(why: EndReason = 'gone'): void {
    if (this.ended) return
    this.#endedBy = why
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
    if (this.ended || (this.#ending && !isAtOnce)) return
    if (isAtOnce) this.#cursor.clearOwed()
    this.#endWith(new Ending(why, retryMs, isAtOnce ? 0 : this.#context.window.head))
  }

  /** Ends the stream because the log cannot be read. The client reconnects with its position, and loses nothing. */
  fail(cause: unknown): void {
    this.#failure = cause instanceof AppError ? cause : new AppError('internal', 'Cannot go on', { cause })
    this.#endWith(new Ending('failed', jitter(this.#context.retryMs), 0))
    this.onReady()
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
    if (this.ended || this.#ending) throw new AppError('stream_unknown', 'Cannot change this stream: it has ended')
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
      this.fail(cause)
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
    const replay = this.#replay
    const ending = this.#ending
    if (cursor.closed.hasFound && cursor.isOpen && !ending?.isAtOnce) cursor.oweCloses()
    if (!cursor.owesNothing) return cursor.takeOwed()
    if (cursor.isOpen && cursor.closed.isComplete) return this.#end(Ending.complete())
    if (ending && (ending.isDue(cursor.position) || replay.isBehind)) return this.#end(ending)
    if (this.#waitsForTurn) return
    const { isReady } = replay
    if (replay.isBehind && !isReady) return replay.start()
    const chunk = isReady ? replay.take() : this.#context.shared.chunk(this.#group, cursor.position, this.#context)
    if (!chunk) return this.#rest()
    cursor.pass(chunk)
    if (replay.isCounted && !replay.isBehind) replay.count(false)
    const isEnough = chunk.full && !(this.#isLive && chunk.bytes)
    if (isEnough) this.#continueLater()
    if (!chunk.bytes) return isEnough ? undefined : this.#next()
    this.#events += chunk.count
    this.#deadlines.putOffBeat()
    return cursor.hand(chunk, chunk.bytes)
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

  #endWith(ending: Ending): void {
    if (!this.#ending?.areLastBytesGiven) this.#ending = ending
    this.#rouse()
  }

  #end(ending: Ending): Uint8Array {
    this.#ending = ending
    return ending.giveLastBytes(this.#start.isDemo || !this.#cursor.hasControl)
  }

  #repeatNow(): Uint8Array | undefined {
    if (this.#start.isDemo) this.#deadlines.putOffBeat() // the demo's stream has no checkpoints that a late heartbeat would delay
    return this.#repeat?.of.bytes(this.#group.selection) ?? this.#next()
  }

  /** Makes a waiting reader read again. */
  #rouse(): void {
    if (!this.#waiting) return
    this.#group.waiting.delete(this)
    this.wake(this.#context.window.head)
  }

  #warn(expires: Date): void {
    this.#rouse() // first, because it moves the position of a waiting reader to the head
    this.#cursor.oweExpiring(expires)
    this.onReady()
  }
}
