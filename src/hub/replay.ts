import type { Page } from '../log/log.ts'
import type { HubContext } from './context.ts'
import type { Cursor } from './cursor.ts'
import { type Form, Frame } from './frame.ts'
import { Pace } from './pace.ts'
import type { Subscription } from './subscription.ts'
import { type Chunk, chunkOf } from './window.ts'

/** Most entries of one read of the log: nothing else runs while a local log reads them. */
const READ_COUNT = 64

/** Reads from the log for one stream that is behind the window: one read at a time, at the replay rate. */
export class Replay {
  readonly #context: HubContext
  readonly #cursor: Cursor
  readonly #stream: Subscription
  readonly #pace = new Pace()
  /** The chunk that was read last and not taken yet, and the window's edition when it was read. */
  #page: { readonly chunk: Chunk; readonly edition: number } | undefined
  #isReading = false
  /** Whether the reader is counted among those that receive history. */
  #isCounted = false
  /** The end of the last gap that was reported to the reader. */
  #gapTo = 0

  constructor(context: HubContext, cursor: Cursor, stream: Subscription) {
    this.#context = context
    this.#cursor = cursor
    this.#stream = stream
  }

  /** Whether the next entries have to be read from the log: the stream is not open yet, below the window, or in a gap that was reported. */
  get isBehind(): boolean {
    return !this.#cursor.isOpen || this.#cursor.position < Math.max(this.#context.window.floor, this.#gapTo)
  }

  /** When the read that waits for the replay rate may continue, on the clock of `performance.now()`; infinity if no read waits. */
  get resumesAt(): number {
    return this.#pace.resumesAt
  }

  /** Whether a read was waiting for the replay rate and may continue now. */
  takeResume(now: number): boolean {
    return this.#pace.takeResume(now)
  }

  /** Whether a chunk from the log is ready. Drops a chunk that was read before an erasure, because it may hold the erased entry. */
  get isReady(): boolean {
    if (this.#page && this.#page.edition !== this.#context.window.edition) this.#page = undefined
    return this.#page !== undefined
  }

  /** Takes the chunk that is ready, if there is one. */
  take(): Chunk | undefined {
    const page = this.#page
    this.#page = undefined
    return page?.chunk
  }

  /** Forgets the chunk that is ready. */
  drop(): void {
    this.#page = undefined
  }

  /** Forgets the chunk and the last gap, because the reader gets other topics. */
  restart(): void {
    this.#page = undefined
    this.#gapTo = 0
  }

  /** Whether the reader is counted among those that receive history. */
  get isCounted(): boolean {
    return this.#isCounted
  }

  /** Counts the reader among those that receive history, or stops counting it. Calling it twice with the same value changes nothing. */
  count(isBehind: boolean): void {
    if (this.#isCounted === isBehind) return
    this.#isCounted = isBehind
    this.#context.replays.open += isBehind ? 1 : -1
  }

  /** Starts a read, unless another read is under way or waits for the replay rate. */
  start(): undefined {
    if (this.#isReading || this.#pace.isWaiting) return
    this.count(true)
    const stream = this.#stream
    if (this.#pace.mustWait()) {
      this.#context.wheel.add(stream, stream.nextTick)
      return
    }
    this.#isReading = true
    this.#read().then(
      () => {
        this.#isReading = false
        stream.onReady()
      },
      (cause) => {
        this.#isReading = false
        stream.fail(cause)
      },
    )
  }

  /** Reads the next page from the log, and reports the entries that were trimmed before it. */
  async #read(): Promise<void> {
    const context = this.#context
    const cursor = this.#cursor
    const stream = this.#stream
    const { selection } = stream.group
    const { edition } = context.window
    const limit = { count: READ_COUNT, bytes: context.maxChunkBytes, latest: selection.latest }
    const page = await context.logReader.read(cursor.position, limit, selection.filter, () => stream.ended)
    // A trimmed entry may have closed a topic, or a topic may have been closed after the last look.
    if (this.#isLossNew(page) || cursor.mustLookAgain) await stream.look()
    // After an erasure or a change of topics the page is stale, and is read again.
    const isStale = edition !== context.window.edition || selection.filter !== stream.group.selection.filter
    if (stream.sendsNoMore || isStale) return
    if (!cursor.isOpen) {
      const opened = cursor.openFrom(page, stream.stream)
      stream.begin(opened)
      if (opened.gap?.reason === 'ahead') return // the page was read after a position that the log has not reached
    } else if (this.#isLossNew(page)) {
      if (!cursor.hasControl) {
        context.events.gap?.('trimmed')
        stream.finish('gap', context.retryMs, true)
        return
      }
      cursor.lose(page)
    }
    this.#keep(page, selection, edition)
  }

  /** Whether a page reports trimmed entries that no gap has reported to the reader yet. */
  #isLossNew({ trimmed }: Page): boolean {
    return trimmed !== undefined && trimmed.to > this.#gapTo
  }

  /** Turns a page into the chunk that is ready. @param edition the window's edition when the page was read */
  #keep({ entries, scannedTo, trimmed, conflated }: Page, form: Form, edition: number): void {
    const { epoch, maxChunkBytes, replayRate } = this.#context
    this.#gapTo = Math.max(this.#gapTo, trimmed?.to ?? 0)
    const frames = entries.map((entry) => new Frame(entry, epoch))
    const chunk = chunkOf(frames, form, scannedTo, maxChunkBytes)
    this.#pace.pay(chunk.count, replayRate)
    this.#page = { chunk: conflated === undefined ? chunk : { ...chunk, conflated }, edition }
  }
}
