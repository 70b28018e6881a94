import { AppError } from '../../errors.ts'

/** Whether this error is a reply of the server, not an error of the client or network: replies begin with a code in capitals. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && /^[A-Z]{2,} /.test(error.message)
}

/** Whether the server replied with one of these error codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && codes.some((code) => error.message.startsWith(`${code} `))
}

/** Whether the server did not execute the command, but may execute it later. */
export function isTemporaryRefusal(error: unknown): boolean {
  const inCluster = hasCode(error, 'CLUSTERDOWN', 'MOVED', 'ASK', 'TRYAGAIN')
  return inCluster || hasCode(error, 'LOADING', 'MASTERDOWN', 'READONLY', 'NOREPLICAS', 'MISCONF', 'OOM', 'BUSY')
}

/** Says that nothing was changed: the server cannot be reached, or refuses the command for now. */
export function unavailableError(cause?: unknown): AppError {
  const why = isReply(cause) ? `answers ${/^[A-Z]+/.exec(cause.message)![0]}` : 'cannot be reached'
  return new AppError('log_unavailable', `Cannot use the log now: its server ${why}; try again in a moment`, {
    cause,
    retryAfterS: 2,
  })
}

/** Says that nothing was changed: the server holds another log, or the log had to be repaired. */
export function replacedError(cause: unknown): AppError {
  return new AppError(
    'log_unavailable',
    'Cannot use the log: it was replaced or repaired on its server and has a new epoch; try again',
    { cause, retryAfterS: 1 },
  )
}

/** Says that the change may or may not have been made. */
export function unknownOutcomeError(cause: unknown): AppError {
  return new AppError(
    'outcome_unknown',
    'Cannot tell whether the log applied this: its server did not answer; send it again, a message with the same key',
    { cause },
  )
}

export function closedError(): AppError {
  return new AppError('log_unusable', 'Cannot use the log: it is closed')
}

/** The error of a command that changes nothing: `log_unavailable` if the command may succeed later, else the server's reply. */
export function queryError(cause: unknown): unknown {
  return cause instanceof AppError || (isReply(cause) && !isTemporaryRefusal(cause)) ? cause : unavailableError(cause)
}

/** The error of a command that changes the log: `log_unavailable` if nothing was changed, else `outcome_unknown`. */
export function changeError(cause: unknown): AppError {
  if (cause instanceof AppError) return cause
  return isTemporaryRefusal(cause) ? unavailableError(cause) : unknownOutcomeError(cause)
}
