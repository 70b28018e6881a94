import type { Context } from 'hono'
import { AppError, escaped, withoutTokens } from './errors.ts'

/** What is told of a request: never its query, a header, or its body, where secrets are. */
export interface RequestLine {
  readonly method: string
  readonly path: string
  readonly status: number
  /** Of a refusal. */
  readonly code?: string
  readonly ms: number
  readonly address?: string
}

export type TellRequest = (line: RequestLine) => void

/** Takes note of an answer: what it refused a request for, if it did, and when that began, on the clock of `performance.now()`. */
export type NoteRequest = (c: Context, status: number, refusal: unknown, began: number) => void

/** Tells of every request that is answered, or of those that are refused. */
export function requestLines(
  which: 'all' | 'refused' | 'none',
  addressOf: (c: Context) => string | undefined,
  tell: TellRequest | undefined,
): NoteRequest {
  if (!tell || which === 'none') return () => {}
  return (c, status, refusal, began) => {
    if (which === 'refused' && status < 400) return
    const address = addressOf(c)
    tell({
      method: safe(c.req.method, 20),
      path: safe(c.req.path, 200),
      status,
      ...(refusal !== undefined && { code: refusal instanceof AppError ? refusal.code : 'internal' }),
      ms: Math.round(10 * (performance.now() - began)) / 10,
      ...(address !== undefined && { address }),
    })
  }
}

/** Errors of one line, the first and what it came of, and characters of each. */
const MAX_CAUSES = 5
const MAX_STACK = 4000

/** What went wrong in here, as a line of JSON: with what it came of, and as safe to look at as the line of a request. */
export function errorLine(error: unknown): string {
  const causes: string[] = []
  for (let cause = error; cause !== undefined && causes.length < MAX_CAUSES; ) {
    causes.push(withoutTokens(cause instanceof Error ? `${cause.stack ?? cause}` : String(cause)).slice(0, MAX_STACK))
    if (cause instanceof AggregateError && cause.cause === undefined) [cause] = cause.errors
    else cause = cause instanceof Error ? cause.cause : undefined
  }
  return escaped(JSON.stringify({ level: 'error', error: causes[0], causes: causes.slice(1) }))
}

/** Without what could end a line or move a cursor, not too long, and without what looks like a token. */
export function safe(text: string, length: number): string {
  return escaped(withoutTokens(text).slice(0, length))
}
