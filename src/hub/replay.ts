import type { Page } from '../log/log.ts'
import type { HubContext } from './context.ts'
import { Frame } from './frame.ts'
import { Pace } from './pace.ts'
import { type Chunk, chunkOf, type Selection } from './window.ts'

/** Most entries of one read of the log: everybody else waits while the log reads them. */
const READ_COUNT = 64

/** What one reader receives from the log because it is behind the window: a read at a time, at the replay rate. */
export class Replay {
  readonly #context: HubContext
  readonly #pace = new Pace()
  /** What the log gave, and the window's edition at that time. */
  #page: { readonly chunk: Chunk; readonly edition: number } | undefined
  #isReading = false
  /** Whether the reader is counted among those that receive history. */
  #isCounted = false
  /** The end of the last gap that the reader was told of. */
  #gapTo = 0

  constructor(context: HubContext) {
    this.#context = context
  }

  /** The position below which only the log knows what comes next: the window's floor, or the end of a gap. */
  get floor(): number {
    return Math.max(this.#context.window.floor, this.#gapTo)
  }

  /** When a read that waits for the replay rate may go on, on the clock of `performance.now()`; never, if none waits. */
  get resumesAt(): number {
    return this.#pace.resumesAt
  }

  /** Whether a read that waited for the replay rate may go on now. */
  takeResume(now: number): boolean {
    return this.#pace.takeResume(now)
  }

  /** Whether a chunk of the log is ready. Drops one that holds an entry that was erased since it was read. */
  get isReady(): boolean {
    if (this.#page && this.#page.edition !== this.#context.window.edition) this.#page = undefined
    return this.#page !== undefined
  }

  /** Takes the chunk that is ready. */
  take(): Chunk | undefined {
    const page = this.#page
    this.#page = undefined
    return page?.chunk
  }

  /** Forgets the chunk that is ready. */
  drop(): void {
    this.#page = undefined
  }

  /** Forgets everything that concerns the topics so far. */
  restart(): void {
    this.#page = undefined
    this.#gapTo = 0
  }

  /** Whether the reader is counted among those that receive history. */
  get isCounted(): boolean {
    return this.#isCounted
  }

  /** Counts the reader among those that receive history, or no longer. */
  count(isBehind: boolean): void {
    if (this.#isCounted === isBehind) return
    this.#isCounted = isBehind
    this.#context.replays.open += isBehind ? 1 : -1
  }

  /**
   * Starts a read, unless one is under way or waits.
   *
   * @param onWait called when the read has to wait until `resumesAt`
   */
  start(read: () => Promise<void>, onDone: () => void, onFailed: (cause: unknown) => void, onWait: () => void): void {
    if (this.#isReading || this.#pace.isWaiting) return
    this.count(true)
    if (this.#pace.mustWait()) {
      onWait()
      return
    }
    this.#isReading = true
    read().then(
      () => {
        this.#isReading = false
        onDone()
      },
      (cause) => {
        this.#isReading = false
        onFailed(cause)
      },
    )
  }

  /** One page of the log. @throws AppError `log_unavailable`, `log_unusable` */
  read(position: number, { filter, latest }: Selection, isGone: () => boolean): Promise<Page> {
    return this.#context.logReader.read(
      position,
      { count: READ_COUNT, bytes: this.#context.maxChunkBytes, latest },
      filter,
      isGone,
    )
  }

  /** Whether a page reports a loss that the reader was not told of. */
  isLossNew({ trimmed }: Page): boolean {
    return trimmed !== undefined && trimmed.to > this.#gapTo
  }

  /** Makes the chunk of a page that was read at an edition of the window. */
  keep({ entries, scannedTo, trimmed, conflated }: Page, edition: number): void {
    const { epoch, maxChunkBytes, replayRate } = this.#context
    this.#gapTo = Math.max(this.#gapTo, trimmed?.to ?? 0)
    const frames = entries.map((entry) => new Frame(entry, epoch))
    const chunk = chunkOf(frames, scannedTo, maxChunkBytes)
    this.#pace.pay(chunk.count, replayRate)
    const isPassed = conflated !== undefined && conflated <= chunk.to
    this.#page = { chunk: isPassed ? { ...chunk, conflated } : chunk, edition }
  }
}
