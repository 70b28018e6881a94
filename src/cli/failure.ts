/** Exit codes, which scripts rely on. */
export const EXIT = {
  ok: 0,
  /** The hub refused, or a check found a problem. */
  failed: 1,
  /** The command line, the environment or a settings file is wrong. */
  usage: 2,
  /** The hub could not be reached, or cannot answer now: a later try may succeed. */
  unavailable: 3,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** An error whose message is a sentence for the user; it never contains a secret. */
export class Failure extends Error {
  readonly exit: ExitCode
  /** After which time the hub asks for another try. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, exit: ExitCode = EXIT.failed, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options)
    this.name = 'Failure'
    this.exit = exit
    this.retryAfterMs = options.retryAfterMs
  }
}

/** The error for a command line that cannot be understood. */
export function misuse(message: string): Failure {
  return new Failure(message, EXIT.usage)
}
