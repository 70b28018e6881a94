import type { Page } from '../log/log.ts'
import type { HubContext } from './context.ts'
import { Frame } from './frame.ts'
import { Pace } from './pace.ts'
import { type Chunk, chunkOf, type Selection } from './window.ts'

/** Most entries of one read of the log: nothing else runs while a local log reads them. */
const READ_COUNT = 64

/** Reads from the log for one reader that is behind the window: one read at a time, at the replay rate. */
export class Replay {
  readonly #context: HubContext
  readonly #pace = new Pace()
  /** The chunk that was read last and not taken yet, and the window's edition when it was read. */
  #page: { readonly chunk: Chunk; readonly edition: number } | undefined
  #isReading = false
  /** Whether the reader is counted among those that receive history. */
  #isCounted = false
  /** The end of the last gap that was reported to the reader. */
  #gapTo = 0

  constructor(context: HubContext) {
    this.#context = context
  }

  /** A reader below this position has to read from the log. It is the window's floor, or the end of a later reported gap. */
  get floor(): number {
    return Math.max(this.#context.window.floor, this.#gapTo)
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

  /**
   * Starts a read, unless another read is under way or is waiting.
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

  /** Reads one page from the log. @throws AppError `log_unavailable`, `log_unusable` */
  read(position: number, { filter, latest }: Selection, isGone: () => boolean): Promise<Page> {
    return this.#context.logReader.read(
      position,
      { count: READ_COUNT, bytes: this.#context.maxChunkBytes, latest },
      filter,
      isGone,
    )
  }

  /** Whether a page reports trimmed entries that no gap has reported to the reader yet. */
  isLossNew({ trimmed }: Page): boolean {
    return trimmed !== undefined && trimmed.to > this.#gapTo
  }

  /** Turns a page into the chunk that is ready. @param edition the window's edition when the page was read */
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
