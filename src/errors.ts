/** Every error code with its HTTP status. Codes are stable: clients switch on them. */
export const statuses = {
  batch_too_long: 413,
  body_invalid: 400,
  body_too_large: 413,
  body_too_slow: 408,
  config_invalid: 503,
  content_type_unsupported: 415,
  cookie_too_large: 413,
  cross_site: 403,
  data_missing: 400,
  draining: 503,
  encoding_invalid: 400,
  event_invalid: 400,
  event_too_large: 413,
  field_unknown: 400,
  forbidden: 403,
  gap: 410,
  host_forbidden: 403,
  internal: 500,
  key_conflict: 409,
  key_invalid: 400,
  keys_unavailable: 503,
  log_locked: 500,
  log_unavailable: 503,
  log_unusable: 503,
  message_invalid: 400,
  message_missing: 400,
  method_not_allowed: 405,
  nothing_to_delete: 404,
  outcome_invalid: 400,
  outcome_unknown: 503,
  overloaded: 503,
  parameter_invalid: 400,
  parameter_repeated: 400,
  parameter_unknown: 400,
  pattern_invalid: 400,
  rate_limited: 429,
  retry_invalid: 400,
  run_failed: 409,
  run_lost: 409,
  run_stopped: 409,
  run_taken: 409,
  run_unknown: 404,
  stream_idle: 408,
  stream_too_long: 413,
  stream_too_slow: 408,
  stream_unknown: 404,
  ticket_invalid: 401,
  token_invalid: 401,
  token_missing: 401,
  topic_closed: 409,
  topic_conflict: 400,
  topic_invalid: 400,
  topic_missing: 400,
  topic_too_long: 413,
  too_many_bodies: 429,
  too_many_fields: 413,
  too_many_readers: 429,
  too_many_replays: 429,
  too_many_runs: 429,
  too_many_topics: 413,
} as const

/**
 * A stable name of an error: `code` in a problem answer (RFC 9457).
 *
 * @example
 * const again: readonly Code[] = ['overloaded', 'log_unavailable']
 */
export type Code = keyof typeof statuses

const temporary: readonly Code[] = [
  ...(['config_invalid', 'draining', 'keys_unavailable', 'log_unavailable', 'log_unusable', 'overloaded'] as const),
  ...(['too_many_bodies', 'too_many_readers', 'too_many_replays', 'too_many_runs'] as const),
]

/** Marks the errors of all copies of this package in a process, so that an app knows the errors of a hub of another copy. */
const MARK: unique symbol = Symbol.for('tidings error')

interface AppErrorOptions {
  cause?: unknown
  retryAfterS?: number
  more?: Readonly<Record<string, unknown>>
}

/**
 * The one error of Tidings. `message` is a sentence for people: what was wrong, and what would be right.
 * It is sent to clients, so it never holds a secret or the message of a foreign error; those stay in `cause`.
 *
 * @example
 * try {
 *   await hub.publish({ topic: 'a b', data: 'x' })
 * } catch (error) {
 *   if (error instanceof AppError && error.code === 'topic_invalid') console.warn(error.message)
 *   else throw error
 * }
 */
export class AppError extends Error {
  readonly code: Code
  /** After how many seconds a retry may succeed; missing where that is unknown or never. */
  readonly retryAfterS: number | undefined
  /** Extension members of the problem answer (RFC 9457, 3.2). */
  readonly more: Readonly<Record<string, unknown>> | undefined

  get [MARK](): true {
    return true
  }

  static override [Symbol.hasInstance](value: unknown): value is AppError {
    return typeof value === 'object' && value !== null && MARK in value
  }

  constructor(code: Code, message: string, options: AppErrorOptions = {}) {
    super(message, options)
    this.name = 'AppError'
    this.code = code
    this.retryAfterS = options.retryAfterS
    this.more = options.more
  }

  /** Returns the same error with a message that names the item among many. */
  at(item: string, more?: Readonly<Record<string, unknown>>): AppError {
    const { cause, retryAfterS } = this
    const all = this.more || more ? { ...this.more, ...more } : undefined
    return new AppError(this.code, `${this.message} (${item}, counted from 0)`, {
      cause,
      ...(retryAfterS !== undefined && { retryAfterS }),
      ...(all && { more: all }),
    })
  }

  /** Whether the state of the hub causes the error, so that the same request may succeed later. */
  get isTemporary(): boolean {
    return temporary.includes(this.code)
  }

  /** The HTTP status of the code. */
  get status() {
    return statuses[this.code]
  }
}

/** Whether an error is one of the hub with one of these codes. */
export function isCode(error: unknown, ...codes: readonly Code[]): error is AppError {
  return error instanceof AppError && codes.includes(error.code)
}

/** Whether an error says that a run is no longer that of its producer: another one has claimed the topic, or the run has ended. */
export function isLost(error: unknown): error is AppError {
  return isCode(error, 'run_lost', 'topic_closed')
}

/** The message of what was thrown, which need not be an error. */
export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** Quotes a value for an error message: JSON Web Tokens replaced, cut to 60 characters, control characters and broken UTF-16 escaped. */
export function quote(value: string): string {
  const safe = withoutTokens(value)
  const short = safe.length > 60 ? `${safe.slice(0, 60)}…` : safe
  return escaped(JSON.stringify(short))
}

/** Replaces everything that looks like a JSON Web Token by `[token]`. API keys cannot be recognised. */
export function withoutTokens(text: string): string {
  return text.replace(/eyJ[\w-]{8,}(\.[\w-]*){1,4}/g, '[token]')
}

/** Escapes characters that could end a line or move a terminal's cursor, as JSON does. */
export function escaped(text: string): string {
  const code = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, code)
}
