import { AppError } from '../errors.ts'
import { MIN_RETRY_MS } from './message.ts'
import type { HubOptions } from './options.ts'

/** Readers that may come back in one second after a drain, and the longest time over which they are spread. */
const RETURNS_PER_SECOND = 500
const LONGEST_SPREAD_MS = 30_000

/** Decides who may open a stream, and who may read history from the log. */
export class Admission {
  readonly #options: () => HubOptions
  #isDraining = false
  /** Readers that receive history from the log now. Subscriptions count themselves in and out. */
  readonly replays = { open: 0 }

  constructor(options: () => HubOptions) {
    this.#options = options
  }

  /** Whether new streams are refused because the hub is shutting down. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  drain(): void {
    this.#isDraining = true
  }

  /** @throws AppError `draining` */
  assertOpen(): void {
    if (this.#isDraining)
      throw new AppError('draining', 'Cannot open a stream: the hub is shutting down, come back in a few seconds')
  }

  /**
   * Checks that one more stream may open.
   *
   * @param readers how many are open
   * @throws AppError `draining`, `overloaded`, `too_many_readers`
   */
  admit(readers: number): void {
    this.assertOpen()
    this.assertMemory('open a stream')
    const { maxReaders } = this.#options()
    if (readers >= maxReaders)
      throw new AppError('too_many_readers', `Cannot open a stream: ${maxReaders} are open, which is the most`, {
        retryAfterS: 5,
      })
  }

  /** @param purpose follows "Cannot" in the error. @throws AppError `overloaded` while memory is short */
  assertMemory(purpose: string): void {
    if (this.#options().isShort?.())
      throw new AppError('overloaded', `Cannot ${purpose}: memory is short; come back in a moment`, { retryAfterS: 5 })
  }

  /** @throws AppError `too_many_replays` if a reader needs history from the log while too many receive theirs */
  admitReplay(): void {
    const { maxReplays } = this.#options()
    if (this.replays.open < maxReplays) return
    const why = `${maxReplays} readers are being given theirs, which is the most at once`
    throw new AppError('too_many_replays', `Cannot replay history now: ${why}`, { retryAfterS: 2 })
  }

  /** Runs a search through the log, which counts as a replay. @throws AppError `too_many_replays` */
  async searching<T>(search: () => Promise<T>): Promise<T> {
    this.admitReplay()
    this.replays.open++
    try {
      return await search()
    } finally {
      this.replays.open--
    }
  }

  /** After how many ms one of so many readers is to come back, at random, so that they do not come back together. */
  returnMs(readers: number): number {
    const spread = Math.min(LONGEST_SPREAD_MS, (readers / RETURNS_PER_SECOND) * 1000)
    return Math.round(MIN_RETRY_MS + Math.random() * spread)
  }
}
