import { readFileSync } from 'node:fs'
import process from 'node:process'
import { withoutLineEnd } from '../auth/options.ts'
import { escaped } from '../errors.ts'
import { EXIT, Failure, misuse } from './failure.ts'
import type { Given } from './given.ts'

const DEFAULT_URL = 'http://localhost:3000'
/** Most characters of an error's answer that are read. */
const MAX_PROBLEM = 16 * 1024
/** What a token or an API key consists of (RFC 6750, 2.1). */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/

/** A hub that is reached over HTTP. */
export interface Remote {
  /** The URL of the hub without a slash at its end. */
  readonly url: string
  /**
   * Sends a request and returns its answer, if that is 2xx.
   *
   * @param path a path of the hub, which begins with a slash
   * @throws Failure for any other answer, with the hub's reason; `unavailable` if a later try may succeed
   */
  request(path: string, init?: RequestInit): Promise<Response>
  /** Sends a request and returns its answer, whatever that is. @throws Failure `unavailable` if there is none */
  ask(path: string, init?: RequestInit): Promise<Response>
}

/**
 * The hub that flags or the environment name.
 *
 * @param timeoutMs how long to wait for a whole answer; for ever if left out, or if the request has a signal of its own
 * @throws Failure usage
 */
export function remoteOf(given: Given, url = given.value('url'), timeoutMs?: number): Remote {
  const base = parseUrl(url ?? (process.env.TIDINGS_URL || DEFAULT_URL))
  const token = tokenOf(given)
  const headers = { 'user-agent': 'tidings', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  const hide = (text: string) => (token === undefined ? text : text.replaceAll(token, '[token]'))
  const ask: Remote['ask'] = async (path, init = {}) => {
    const signal = init.signal ?? (timeoutMs === undefined ? null : AbortSignal.timeout(timeoutMs))
    try {
      return await fetch(base + path, { ...init, headers: { ...headers, ...init.headers }, signal })
    } catch (cause) {
      throw unreachable(base, cause)
    }
  }
  return {
    url: base,
    ask,
    async request(path, init) {
      const answer = await ask(path, init)
      if (answer.ok) return answer
      throw await refusal(answer, hide)
    },
  }
}

/** @throws Failure usage; it does not show the URL, which may contain a password */
function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw misuse('Cannot use this URL of a hub: expected one like http://localhost:3000 (--url, TIDINGS_URL)')
  if (url.username || url.password)
    throw misuse('Cannot use a URL with a user or a password: give a token with --token-file or TIDINGS_TOKEN')
  if (url.search || url.hash) throw misuse('Cannot use a URL with ? or #: expected only the address of the hub')
  return url.href.replace(/\/+$/, '')
}

function tokenOf(given: Given): string | undefined {
  const file = given.value('token-file')
  if (file !== undefined && given.value('token') !== undefined) throw misuse('Cannot use --token beside --token-file')
  const text = file === undefined ? (given.value('token') ?? process.env.TIDINGS_TOKEN) : contentOf(file)
  if (!text) return
  const token = withoutLineEnd(text).trim()
  if (!TOKEN.test(token)) throw misuse('Cannot use this token: expected one line with a token or an API key')
  return token
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Failure(`Cannot read --token-file ${file}: ${(cause as NodeJS.ErrnoException).code}`, EXIT.usage, {
      cause,
    })
  }
}

/** The error for a request that got no answer. The runtimes' own messages name the request, so only their codes are shown. */
export function unreachable(url: string, cause: unknown): Failure {
  const codes: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'nothing listens there; is the hub running?',
    ConnectionRefused: 'nothing listens there; is the hub running?',
    ENOTFOUND: 'no such host',
    ECONNRESET: 'the connection was closed',
    UND_ERR_SOCKET: 'the connection was closed',
  }
  const { name, code, cause: inner } = (cause ?? {}) as Failed
  if (name === 'TimeoutError') return new Failure(`Cannot reach ${url}: no answer in time`, EXIT.unavailable, { cause })
  const known = inner?.code ?? (typeof code === 'string' ? code : '')
  const text = `${inner?.message ?? (cause as Error)?.message ?? ''}`
  const why = /refused/i.test(text) ? codes.ECONNREFUSED : (codes[known] ?? (known || 'the connection failed'))
  return new Failure(`Cannot reach ${url}: ${why}`, EXIT.unavailable, { cause })
}

/** What the runtimes throw if a request fails: the code is on the error, or on its cause. */
interface Failed {
  readonly name?: string
  readonly code?: unknown
  readonly cause?: { readonly code?: string; readonly message?: string }
}

async function refusal(answer: Response, hide: (text: string) => string): Promise<Failure> {
  const after = Number(answer.headers.get('retry-after'))
  const isLater = answer.status >= 500 || answer.status === 429 || answer.status === 408
  const { code, detail, ...more } = await problemOf(answer)
  const place = more.taken === undefined ? '' : `; ${more.taken} items were published before`
  const why =
    detail === undefined ? 'it gives no reason, so a proxy may have answered in its place' : `${detail}${place}`
  return new Failure(
    hide(escaped(`The hub refused with ${answer.status}${code ? ` ${code}` : ''}: ${why}`)),
    isLater ? EXIT.unavailable : EXIT.failed,
    { ...(after > 0 && { retryAfterMs: after * 1000 }) },
  )
}

/** The fields of a problem answer (RFC 9457) that we show; none if the answer is something else. */
async function problemOf(answer: Response): Promise<{ code?: string; detail?: string; taken?: number }> {
  try {
    const text = await answer.text()
    if (text.length > MAX_PROBLEM) return {}
    const { code, detail, taken } = JSON.parse(text)
    return {
      ...(typeof code === 'string' && { code }),
      ...(typeof detail === 'string' && { detail }),
      ...(typeof taken === 'number' && { taken }),
    }
  } catch {
    return {} // not JSON, or cut off
  }
}
