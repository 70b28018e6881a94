import { AppError } from '../errors.ts'
import { MIN_RETRY_MS } from './message.ts'
import type { HubOptions } from './options.ts'

/** When the hub ends all streams, it asks this many readers to come back in each second, but spreads them over 30 s at most. */
const RETURNS_PER_SECOND = 500
const LONGEST_SPREAD_MS = 30_000

/** Decides whether a stream may open, and whether a reader may get history from the log. */
export class Admission {
  readonly #options: () => HubOptions
  #isDraining = false
  /** How many readers receive history from the log now. Each subscription adds itself to `open` and subtracts itself. */
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

  /** @param purpose the words after "Cannot" in the error. @throws AppError `draining` */
  assertOpen(purpose = 'open a stream'): void {
    if (this.#isDraining)
      throw new AppError('draining', `Cannot ${purpose}: the hub is shutting down, come back in a few seconds`)
  }

  /**
   * Checks that one more stream may open.
   *
   * @param readers how many streams are open
   * @throws AppError `draining`, `overloaded`, `too_many_readers`
   */
  admit(readers: number): void {
    this.assertOpen()
    this.#assertMemory('open a stream')
    const { maxReaders } = this.#options()
    if (readers >= maxReaders)
      throw new AppError('too_many_readers', `Cannot open a stream: ${maxReaders} are open, which is the most`, {
        retryAfterS: 5,
      })
  }

  /** Checks that one more streamed body may be read, which holds memory and delays a shutdown. @throws AppError `draining`, `overloaded` */
  admitBody(): void {
    const purpose = 'read a streamed body'
    this.assertOpen(purpose)
    this.#assertMemory(purpose)
  }

  /** @param purpose the words after "Cannot" in the error. @throws AppError `overloaded` while memory is short */
  #assertMemory(purpose: string): void {
    if (this.#options().isShort?.())
      throw new AppError('overloaded', `Cannot ${purpose}: memory is short; come back in a moment`, { retryAfterS: 5 })
  }

  /** Checks that one more reader may get history from the log. @throws AppError `too_many_replays` */
  admitReplay(): void {
    const { maxReplays } = this.#options()
    if (this.replays.open < maxReplays) return
    const why = `${maxReplays} readers are being given theirs, which is the most at once`
    throw new AppError('too_many_replays', `Cannot replay history now: ${why}`, { retryAfterS: 2 })
  }

  /** Runs a search through the log. While it runs, it counts as one replay. @throws AppError `too_many_replays` */
  async searching<T>(search: () => Promise<T>): Promise<T> {
    this.admitReplay()
    this.replays.open++
    try {
      return await search()
    } finally {
      this.replays.open--
    }
  }

  /** A random time in ms after which one of `readers` readers reconnects, so that they do not all reconnect at once. */
  returnMs(readers: number): number {
    const spread = Math.min(LONGEST_SPREAD_MS, (readers / RETURNS_PER_SECOND) * 1000)
    return Math.round(MIN_RETRY_MS + Math.random() * spread)
  }
}
