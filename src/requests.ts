import type { Context } from 'hono'
import { AppError, escaped, withoutTokens } from './errors.ts'

/** A line of the request log. It leaves out the query, the headers and the body, where secrets are. */
export interface RequestLine {
  readonly method: string
  readonly path: string
  readonly status: number
  /** The code of a refusal. */
  readonly code?: string
  readonly ms: number
  readonly address?: string
}

export type WriteLine = (line: RequestLine) => void

/**
 * Logs an answered request.
 *
 * @param refusal the error of a refused request
 * @param began when the request began, on the clock of `performance.now()`
 */
export type LogRequest = (c: Context, status: number, refusal: unknown, began: number) => void

/** Logs every answered request, only refused ones, or none. */
export function requestLog(
  which: 'all' | 'refused' | 'none',
  addressOf: (c: Context) => string | undefined,
  writeLine: WriteLine | undefined,
): LogRequest {
  if (!writeLine || which === 'none') return () => {}
  return (c, status, refusal, began) => {
    if (which === 'refused' && status < 400) return
    const address = addressOf(c)
    writeLine({
      method: safe(c.req.method, 20),
      path: safe(c.req.path, 200),
      status,
      ...(refusal !== undefined && { code: refusal instanceof AppError ? refusal.code : 'internal' }),
      ms: Math.round(10 * (performance.now() - began)) / 10,
      ...(address !== undefined && { address }),
    })
  }
}

/** Most errors of one line, the error and its causes, and most characters of each. */
const MAX_CAUSES = 5
const MAX_STACK = 4000

/** An internal error as a line of JSON: with its causes, and as safe to read as a line of the request log. */
export function errorLine(error: unknown): string {
  const causes: string[] = []
  for (let cause = error; cause !== undefined && causes.length < MAX_CAUSES; ) {
    causes.push(withoutTokens(cause instanceof Error ? `${cause.stack ?? cause}` : String(cause)).slice(0, MAX_STACK))
    if (cause instanceof AggregateError && cause.cause === undefined) [cause] = cause.errors
    else cause = cause instanceof Error ? cause.cause : undefined
  }
  return escaped(JSON.stringify({ level: 'error', error: causes[0], causes: causes.slice(1) }))
}

/** Returns the text with JSON Web Tokens replaced, cut to a length, and with control characters escaped. */
export function safe(text: string, length: number): string {
  return escaped(withoutTokens(text).slice(0, length))
}
