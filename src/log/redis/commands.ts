import { changeError, queryError } from './errors.ts'
import type { Identity } from './identity.ts'
import type { RunScript } from './scripts.ts'

/** Runs scripts on the log of the identity's epoch. They reject with the errors that `Log` documents. */
export interface Commands {
  /**
   * Runs a script that changes nothing that readers see.
   *
   * @throws AppError `log_unavailable` if it may succeed later
   */
  readonly query: RunScript
  /**
   * Runs a script that changes the log.
   *
   * @throws AppError `log_unavailable` if nothing was changed, `outcome_unknown` if nobody can tell whether anything was changed
   */
  readonly change: RunScript
}

export function commandsOn(identity: Identity): Commands {
  return {
    async query(script, ...args) {
      try {
        return await identity.run(script, ...args)
      } catch (cause) {
        throw queryError(cause)
      }
    },
    async change(script, ...args) {
      try {
        return await identity.run(script, ...args)
      } catch (cause) {
        throw changeError(cause)
      }
    },
  }
}
