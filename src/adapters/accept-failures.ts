import { reasonOf } from '../errors.ts'
import { warn } from './log-lines.ts'

/** A failure to accept connections is reported once in this time. */
const REPORT_MS = 5000

/** Reports that connections cannot be accepted, as when the process has no file descriptors left. */
export class AcceptFailures {
  #nextReport = 0

  report(cause: unknown): void {
    const now = performance.now()
    if (now < this.#nextReport) return
    this.#nextReport = now + REPORT_MS
    warn(`Cannot accept connections, trying again: ${reasonOf(cause)}`)
  }
}
