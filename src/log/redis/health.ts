import { AppError } from '../../errors.ts'
import type { Commits } from './commits.ts'
import { queryError } from './errors.ts'
import { probe } from './lua/probe.ts'
import type { RunScript } from './scripts.ts'

/** How long a check relies on the last successful commit or check. */
const CHECK_MS = 1000

interface Parts {
  readonly query: RunScript
  readonly commits: Commits
  readonly deliveredTo: () => number
  /** The error of the tail's last read; undefined if the read succeeded. */
  readonly tailError: () => unknown
}

/** Finds out whether the log can be written, and whether keys of the log are missing on the server. */
export class Health {
  readonly #parts: Parts
  /** The last topic that a probe has checked; the next probe continues after it. */
  #probedTopic = ''
  #checkedAt = Number.NEGATIVE_INFINITY

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Writes to `:meta`, and checks the next topics, in the order of their names. @throws AppError if the log cannot be used */
  async probe(): Promise<void> {
    this.#probedTopic = (await this.#parts.query(probe, this.#parts.deliveredTo(), this.#probedTopic)) as string
  }

  /** @throws AppError `log_unavailable`, or `log_unusable` with the reason */
  async check(): Promise<void> {
    const { commits, tailError } = this.#parts
    try {
      const error = tailError()
      if (error !== undefined) throw queryError(error)
      if (performance.now() - Math.max(commits.lastCommitAt, this.#checkedAt) < CHECK_MS) return
      await this.probe()
      this.#checkedAt = performance.now()
    } catch (cause) {
      if (cause instanceof AppError && cause.code === 'log_unavailable') throw cause
      throw new AppError('log_unusable', 'Cannot write to the log now', { cause })
    }
  }
}
