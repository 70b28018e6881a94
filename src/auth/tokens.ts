import * as v from 'valibot'
import { AppError } from '../errors.ts'
import { Filter } from '../topic.ts'
import type { Grant } from './authorize.ts'
import { invalid } from './credentials.ts'
import { isForHub } from './hub-claim.ts'
import type { Verifier } from './keys.ts'
import { loaded } from './loaded.ts'
import { type AuthOptions, CLOCK_TOLERANCE_S, hasKeys } from './options.ts'
import type { Verified } from './verify.ts'

const MAX_TOKEN_BYTES = 8192
const MAX_PATTERNS = 100

const claim = v.strictObject({
  publish: v.optional(patterns(), []),
  subscribe: v.optional(patterns(), []),
  hub: v.optional(v.pipe(v.string(), v.nonEmpty(), v.maxLength(253))),
})

/** Verifies JSON Web Tokens (RFC 7519). Their claim `tidings` holds the topics that the grant allows. */
export class Tokens {
  #options: AuthOptions
  #keys: Promise<readonly Verifier[]>
  #reloads = 0

  constructor(options: AuthOptions) {
    this.#options = options
    this.#keys = readKeys(options)
    this.#keys.catch(() => {}) // `check` and `verify` report the error
  }

  /** Replaces options and keys once the new keys have been read. @throws AppError `config_invalid`, and keeps the former ones */
  async reload(options: AuthOptions): Promise<void> {
    const reload = ++this.#reloads
    const keys = await readKeys(options, await this.#keys.catch(() => []))
    if (reload !== this.#reloads) return // a later reload has newer keys
    this.#options = options
    this.#keys = Promise.resolve(keys)
  }

  /** Checks that the keys can be used. @throws AppError `config_invalid` */
  async check(): Promise<void> {
    await this.#keys
  }

  /** Whether the key that verified a token still exists. */
  async hasKey(source: string): Promise<boolean> {
    for (const verifier of await this.#keys) if (await verifier.hasKey(source)) return true
    return false
  }

  /** Returns the grant of a token. @throws AppError `token_invalid` with the reason but no part of the token, `keys_unavailable` */
  async verify(token: string): Promise<Grant> {
    if (token.length > MAX_TOKEN_BYTES) throw invalid(`it is longer than ${MAX_TOKEN_BYTES} bytes`)
    const { payload, source } = await this.#verified(token)
    const { exp, iat, nbf, sub, jti } = payload
    for (const [name, time] of Object.entries({ exp, iat, nbf }))
      if (time !== undefined && !isTime(time)) throw invalid(`its ${name} is not a number of seconds since 1970`)
    const expiresAt = msOf(exp!)
    const { maxTokenMs } = this.#options
    if (expiresAt - Date.now() > maxTokenMs + 1000 * CLOCK_TOLERANCE_S)
      throw invalid(`it is valid for longer than ${maxTokenMs / 1000} s`)
    for (const [name, text] of Object.entries({ sub, jti }))
      if (text !== undefined && (typeof text !== 'string' || text === '' || text.length > 200))
        throw invalid(`its ${name} is not a string of 1 to 200 characters`)
    const parsed = v.safeParse(claim, payload.tidings)
    if (!parsed.success)
      throw invalid(
        `its claim tidings is not { publish: […], subscribe: […] }, up to ${MAX_PATTERNS} topics and patterns each`,
      )
    const { hub, ...grant } = parsed.output
    if (!isForHub(hub, this.#options.hub))
      throw invalid(hub === undefined ? 'it names no hub (claim tidings.hub)' : 'it is for another hub')
    return {
      ...grant,
      ...(sub !== undefined && { subject: sub }),
      ...(jti !== undefined && { id: jti }),
      ...(iat !== undefined && { issuedAt: msOf(iat) }),
      expiresAt,
      source,
    }
  }

  /** @throws AppError `keys_unavailable`: the configured keys cannot be used. Servers do not start with such keys; a Worker has no start */
  #readable(): Promise<readonly Verifier[]> {
    return this.#keys.catch((cause) => {
      throw new AppError('keys_unavailable', 'Cannot verify tokens now: a configured key cannot be used', { cause })
    })
  }

  async #verified(token: string): Promise<Verified> {
    const verifiers = await this.#readable()
    const { verified } = await loaded(() => import('./verify.ts'))
    return verified(token, verifiers, this.#options)
  }
}

/** A `Date` cannot hold a time that is further from 1970. */
const MAX_TIME_S = 8.64e12

/** Whether a claim is a NumericDate, which may be fractional (RFC 7519, 2). */
function isTime(claim: unknown): claim is number {
  return typeof claim === 'number' && Math.abs(claim) <= MAX_TIME_S
}

/** Rounds down: a token expires no later than it says, and counts as issued before a revocation of the same ms. */
function msOf(seconds: number): number {
  return Math.floor(1000 * seconds)
}

/**
 * Makes the verifiers of the configured keys. What verifies tokens is loaded with the first key, and not with the hub: jose takes as long to
 * load as the hub itself.
 *
 * @throws AppError `config_invalid`
 */
async function readKeys(options: AuthOptions, before?: readonly Verifier[]): Promise<readonly Verifier[]> {
  if (!hasKeys(options)) return []
  const [keys] = await Promise.all([import('./keys.ts'), import('./verify.ts')])
  return keys.readKeys(options, before)
}

function patterns() {
  const name = v.pipe(v.string(), v.check(isName))
  return v.pipe(v.array(name), v.maxLength(MAX_PATTERNS))
}

function isName(text: string): boolean {
  try {
    Filter.parse([text])
    return true
  } catch {
    return false
  }
}
