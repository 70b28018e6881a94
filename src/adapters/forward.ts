import { secureHeaders } from '../auth/headers.ts'
import { AppError } from '../errors.ts'
import { laterBody, streamHeaders } from '../routes/later.ts'
import { problemOf } from '../routes/problem.ts'
import { failureLine } from './event-lines.ts'

/** The part of a Durable Object's stub that we use. */
export interface Fetcher {
  fetch(request: Request): Promise<Response>
}

/**
 * Passes a request to an object, and answers in its place if it fails: it was aborted, reset, moved or overloaded, or could not start.
 *
 * A GET or HEAD that changes nothing is tried once more, if the error says that a retry helps (Durable Objects, Error handling).
 *
 * @param connect makes a stub. A stub that has thrown may be broken for good, so each try takes another
 * @param origins whose pages may read the answer
 */
export async function forward(request: Request, connect: () => Fetcher, origins: readonly string[]): Promise<Response> {
  try {
    return await connect().fetch(request)
  } catch (cause) {
    if (!isRetryable(cause) || !isRepeatable(request)) return answerFailure(request, cause, origins)
  }
  try {
    return await connect().fetch(request)
  } catch (cause) {
    return answerFailure(request, cause, origins)
  }
}

/**
 * Answers a request that nobody else can answer. An EventSource gets a stream that says when to come back, because any other answer would
 * end it for good; all other clients get 503.
 */
export function answerFailure(request: Request, cause: unknown, origins: readonly string[]): Response {
  const error = errorFor(request, cause)
  if (error.code !== 'config_invalid') console.error(failureLine('Cannot reach the object of the hub', cause))
  const body = endingFor(request)
  const { status, headers, body: text } = problemOf(error)
  const answer = body ? new Response(body, { headers: streamHeaders }) : new Response(text, { status, headers })
  for (const [name, value] of Object.entries(secureHeaders(origins.length > 0)))
    if (!answer.headers.has(name)) answer.headers.set(name, value)
  const origin = request.headers.get('origin')
  if (origin !== null && origins.includes(origin)) {
    // Without these two, a browser takes the answer for a network error that ends its EventSource.
    answer.headers.set('Access-Control-Allow-Origin', origin)
    answer.headers.set('Access-Control-Allow-Credentials', 'true')
    answer.headers.append('Vary', 'Origin')
  }
  return answer
}

function errorFor(request: Request, cause: unknown): AppError {
  if (cause instanceof AppError) return cause
  if (isPublish(request))
    return new AppError(
      'outcome_unknown',
      'Cannot tell whether the hub took this: its object failed; send it again with the same key',
      { cause },
    )
  if (flagOf(cause, 'overloaded'))
    return new AppError(
      'overloaded',
      'Cannot answer now: the object of this hub is overloaded; try again in a moment',
      {
        cause,
      },
    )
  return new AppError('log_unavailable', 'Cannot answer now: the object of this hub failed; try again in a moment', {
    cause,
  })
}

/**
 * The stream that says when to come back; undefined if the client needs the error. A body may say `control=false`, and it is consumed.
 *
 * Something may stand before `/event`: a setting that is wrong may be the one that says what.
 */
function endingFor({ method, url, headers }: Request): Uint8Array<ArrayBuffer> | undefined {
  const { pathname, searchParams } = new URL(url)
  if (method !== 'GET' || !pathname.endsWith('/event')) return
  return laterBody({
    accept: headers.get('accept') ?? undefined,
    isDemo: !searchParams.has('topic'),
    control: searchParams.get('control') !== 'false',
  })
}

const READS = ['GET', 'HEAD', 'OPTIONS']

/** Whether a request may change what is in the hub. */
function isPublish({ method, url }: Request): boolean {
  const { pathname } = new URL(url)
  if (method === 'GET') return pathname === '/send'
  return !READS.includes(method) && pathname !== '/event'
}

/** Whether a request can be sent twice without doing anything twice. A ticket is good for one use. */
function isRepeatable(request: Request): boolean {
  const { method, url } = request
  return (method === 'GET' || method === 'HEAD') && !isPublish(request) && !new URL(url).searchParams.has('ticket')
}

function isRetryable(cause: unknown): boolean {
  return flagOf(cause, 'retryable') && !flagOf(cause, 'overloaded')
}

/** Reads a property with which the platform marks the errors of a stub. */
function flagOf(cause: unknown, name: 'retryable' | 'overloaded'): boolean {
  return cause instanceof Error && (cause as Error & { [flag in typeof name]?: boolean })[name] === true
}
