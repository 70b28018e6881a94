import type { AppError, Code } from '../errors.ts'

/** An error as `application/problem+json` (RFC 9457). */
export interface Problem {
  readonly status: AppError['status']
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a client learns of an error: its stable `code` and its message. A temporary one says when to try again. */
export function problemOf({ status, code, message, more, retryAfterS }: AppError): Problem {
  const retryAfter = retryAfterS ?? (status === 503 ? 5 : undefined)
  const challenge = challenges[code]
  return {
    status,
    headers: {
      'Cache-Control': 'no-store',
      ...(retryAfter !== undefined && { 'Retry-After': `${retryAfter}` }),
      ...(challenge !== undefined && { 'WWW-Authenticate': `Bearer realm="tidings"${challenge}` }),
      'Content-Type': 'application/problem+json',
      'X-Content-Type-Options': 'nosniff',
    },
    body: JSON.stringify({ type: 'about:blank', title: titles[status], status, code, detail: message, ...more }),
  }
}

/** The `WWW-Authenticate` challenge of an error that other credentials would avoid (RFC 6750, 3). */
const challenges: Partial<Record<Code, string>> = {
  token_missing: '',
  token_invalid: ', error="invalid_token"',
  ticket_invalid: ', error="invalid_token"',
  forbidden: ', error="insufficient_scope"',
}

const titles = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
} as const
