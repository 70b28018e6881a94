import { AppError } from '../errors.ts'
import { nextTurn } from '../turn.ts'
import { Draft } from './draft.ts'
import type { LogOptions } from './log.ts'
import type { State, Tables } from './tables.ts'

/** How long a change waits for another process to unlock the storage, and how often it tries. */
const LOCKED_MS = 5000
const LOCKED_RETRY_MS = 20
/** A lock that no change has met for this long is a new one when a change meets it again. */
const LOCK_FORGOTTEN_MS = 1000

/** What the log does when its state changes. */
export interface Listener {
  /** The draft is durable, and its state is the log's. */
  committed(draft: Draft): void
  /** After a failed commit the state was read again: the failed draft may be in it or not. */
  recovered(): void
}

/**
 * Changes the tables and the state that is known of them: a draft at a time, all of it or nothing, and the state only once the draft is
 * durable. The caller never runs two at a time.
 */
export class Transactions {
  readonly #tables: Tables
  readonly #options: LogOptions
  readonly #listener: Listener
  #state: State
  /** See `Draft.trimFrom`. */
  #trimFrom = 0
  #isUncertain = false
  #flushing: Promise<void> | undefined
  #committedAt = Number.NEGATIVE_INFINITY
  /** When a change first met the present lock of another process, and when a change met it last. */
  readonly #lock = { since: 0, seenAt: Number.NEGATIVE_INFINITY }

  constructor(tables: Tables, options: LogOptions, listener: Listener) {
    this.#tables = tables
    this.#options = options
    this.#listener = listener
    this.#state = tables.state()
  }

  /** What is durable. While a commit is being flushed the tables are ahead of it. */
  get state(): State {
    return this.#state
  }

  /** A commit failed, and may have been done all the same: only the tables know. */
  get isUncertain(): boolean {
    return this.#isUncertain
  }

  /** Settles when the commit that is being flushed is durable or has failed; missing when none is. Never rejects. */
  get flushing(): Promise<void> | undefined {
    return this.#flushing
  }

  /** When a commit succeeded last, on the clock of `performance.now()`. */
  get committedAt(): number {
    return this.#committedAt
  }

  /**
   * Commits a draft, at once where the tables are durable at once. Recovers first if the last commit failed.
   *
   * @param apply is called again with a new draft when the storage was locked
   * @throws AppError `log_unavailable`, `log_unusable`: nothing was changed. Any other error: the change may be in the log
   */
  run(apply: (draft: Draft) => void): void | Promise<void> {
    if (this.#isUncertain) return this.recover().then(() => this.run(apply))
    try {
      return this.#attempt(apply)
    } catch (cause) {
      if (!isLocked(cause)) throw cause
      return this.#retry(apply, cause)
    }
  }

  /** Reads the state again from the tables, which alone know what a failed commit has done. */
  async recover(): Promise<void> {
    this.#tables.verify?.()
    await this.#tables.flush?.()
    const found = this.#tables.state()
    this.#tables.acknowledge?.(found.head)
    this.#state = found
    this.#trimFrom = 0
    this.#isUncertain = false
    this.#listener.recovered()
  }

  /** Tries again until the storage is unlocked. All changes that wait share one deadline: the next in the queue does not wait anew. */
  async #retry(apply: (draft: Draft) => void, refusal: unknown): Promise<void> {
    const lock = this.#lock
    const now = performance.now()
    if (now - lock.seenAt > LOCK_FORGOTTEN_MS) lock.since = now
    for (lock.seenAt = now; lock.seenAt - lock.since < LOCKED_MS; lock.seenAt = performance.now()) {
      await new Promise((resolve) => setTimeout(resolve, LOCKED_RETRY_MS))
      try {
        return await this.#attempt(apply)
      } catch (cause) {
        if (!isLocked(cause)) throw cause
      }
    }
    throw refusal
  }

  #attempt(apply: (draft: Draft) => void): void | Promise<void> {
    const tables = this.#tables
    const draft = new Draft(tables, this.#options, this.#state, this.#trimFrom)
    try {
      tables.transaction(() => {
        apply(draft)
        draft.state.commits++
        tables.setState(draft.state)
      })
    } catch (cause) {
      if (cause instanceof AppError) throw cause
      this.#fail(cause)
    }
    if (tables.flush)
      return this.#flush().then(
        () => this.#succeed(draft),
        (cause) => this.#fail(cause),
      )
    this.#succeed(draft)
  }

  #succeed(draft: Draft): void {
    try {
      this.#tables.verify?.()
      this.#tables.acknowledge?.(draft.state.head)
    } catch (cause) {
      this.#fail(cause)
    }
    this.#state = draft.state
    this.#trimFrom = draft.trimFrom
    this.#committedAt = performance.now()
    this.#listener.committed(draft)
  }

  #fail(cause: unknown): never {
    this.#isUncertain = true
    throw new Error('The commit failed', { cause })
  }

  /** Reads wait for `flushing`, and then find the new state. */
  async #flush(): Promise<void> {
    const flush = this.#tables.flush!()
    this.#flushing = flush.then(
      () => nextTurn(),
      () => nextTurn(),
    )
    this.#flushing.then(() => {
      this.#flushing = undefined
    })
    await flush
  }
}

function isLocked(cause: unknown): boolean {
  return cause instanceof AppError && cause.code === 'log_unavailable'
}
