import { AppError } from '../errors.ts'
import { nextTurn } from '../turn.ts'
import type { ActiveRuns } from './active-runs.ts'
import { Draft } from './draft.ts'
import type { LogOptions } from './log.ts'
import type { State, Tables } from './tables.ts'

/** How long a change waits for another process to unlock the storage, and the time between two attempts, in ms. */
const LOCKED_MS = 5000
const LOCKED_RETRY_MS = 20
/** If no change has met a lock for this long, in ms, the next lock counts as a new one with its own deadline. */
const LOCK_FORGOTTEN_MS = 1000

/** Called when the state of the log has changed. */
export interface Listener {
  /** The draft is durable, and its state is now the state of the log. */
  committed(draft: Draft): void
  /** A commit failed, and may have been made all the same. Called before the caller learns it. */
  failed(): void
  /** The state was read again after a failed commit. It may contain the changes of the failed draft. */
  recovered(): void
}

/**
 * Applies drafts to the tables, each draft whole or not at all, and changes `state` once the draft is durable. The caller must not run two
 * drafts at a time.
 */
export class Transactions {
  readonly #tables: Tables
  readonly #options: LogOptions
  readonly #listener: Listener
  readonly #active: ActiveRuns
  #state: State
  #trimFrom = 0
  #isUncertain = false
  #flushing: Promise<void> | undefined
  #committedAt = Number.NEGATIVE_INFINITY
  /** `since`: when a change first met the present lock of another process. `seenAt`: when a change last met this lock. */
  readonly #lock = { since: 0, seenAt: Number.NEGATIVE_INFINITY }

  constructor(tables: Tables, options: LogOptions, active: ActiveRuns, listener: Listener) {
    this.#active = active
    this.#tables = tables
    this.#options = options
    this.#listener = listener
    this.#state = tables.state()
  }

  /** The durable state. While a commit is being flushed, the tables are already ahead of this state. */
  get state(): State {
    return this.#state
  }

  /** See `Draft.trimFrom`. */
  get trimFrom(): number {
    return this.#trimFrom
  }

  /** Whether the last commit failed and may have been made all the same: only the tables know. */
  get isUncertain(): boolean {
    return this.#isUncertain
  }

  /** Resolves when the commit that is being flushed is durable or has failed. Undefined if no commit is being flushed. Never rejects. */
  get flushing(): Promise<void> | undefined {
    return this.#flushing
  }

  /** When the last commit succeeded, on the clock of `performance.now()`. */
  get committedAt(): number {
    return this.#committedAt
  }

  /**
   * Commits a draft. Returns no promise if the commit is already durable. Recovers first if the last commit failed.
   *
   * @param apply makes the changes, or returns false or throws an AppError if there are none: nothing is then committed. Called again with a
   *   new draft if the storage was locked
   * @throws AppError that of `apply`, `log_unavailable`, `log_unusable`: nothing was changed. Any other error: the change may be in the log
   */
  run(apply: (draft: Draft) => unknown): void | Promise<void> {
    if (this.#isUncertain) return this.recover().then(() => this.run(apply))
    try {
      return this.#attempt(apply)
    } catch (cause) {
      if (!isLocked(cause)) throw cause
      return this.#retry(apply, cause)
    }
  }

  /** Reads the state from the tables again: only the tables know what a failed commit has changed. */
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

  /** Tries again until the storage is unlocked. Waiting changes share one deadline: the next in the queue does not wait anew. */
  async #retry(apply: (draft: Draft) => unknown, refusal: unknown): Promise<void> {
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

  #attempt(apply: (draft: Draft) => unknown): void | Promise<void> {
    const tables = this.#tables
    const draft = new Draft(tables, this.#options, this.#active, this.#state, this.#trimFrom)
    let isChanged = true
    try {
      tables.transaction(() => {
        isChanged = apply(draft) !== false
        if (!isChanged) return
        draft.state.commits++
        tables.setState(draft.state)
      })
    } catch (cause) {
      if (cause instanceof AppError) throw cause
      this.#fail(cause)
    }
    if (!isChanged) return
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
    this.#listener.failed()
    throw new Error('The commit failed', { cause })
  }

  /** Flushes. `flushing` resolves one turn later, so that reads that wait for it find the new state. */
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
