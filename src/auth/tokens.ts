import {
  type CryptoKey,
  decodeProtectedHeader,
  errors,
  type JWSHeaderParameters,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'
import * as v from 'valibot'
import { AppError } from '../errors.ts'
import { Filter } from '../topic.ts'
import type { Grant } from './authorize.ts'
import { readKeys, type Verifier } from './keys.ts'
import type { AuthOptions } from './options.ts'

const MAX_TOKEN_BYTES = 8192
const MAX_PATTERNS = 100
/** Most seconds by which clocks may differ. */
export const CLOCK_TOLERANCE_S = 5

const claim = v.strictObject({ publish: v.optional(patterns(), []), subscribe: v.optional(patterns(), []) })

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
    return {
      ...parsed.output,
      ...(sub !== undefined && { subject: sub }),
      ...(jti !== undefined && { id: jti }),
      ...(iat !== undefined && { issuedAt: msOf(iat) }),
      expiresAt,
      source,
    }
  }

  async #verified(token: string): Promise<{ payload: JWTPayload; source: string }> {
    const { issuer, audience } = this.#options
    const header = headerOf(token)
    let why = 'no key of this hub has its algorithm'
    for (const verifier of await this.#keys) {
      if (!verifier.algorithms.includes(header.alg)) continue
      try {
        const { payload, key } = await verifiedBy(verifier, token, {
          algorithms: [header.alg],
          requiredClaims: ['exp'],
          clockTolerance: CLOCK_TOLERANCE_S,
          ...(issuer !== undefined && { issuer }),
          ...(audience !== undefined && { audience }),
        })
        return { payload, source: await verifier.source(key) }
      } catch (error) {
        why = reasonOf(error)
      }
    }
    throw invalid(why)
  }
}

type Key = CryptoKey | Uint8Array

/** Verifies a token. Tries each key of a set with its algorithm, if the token has no `kid` to choose a key. @throws the errors of jose */
async function verifiedBy(
  verifier: Verifier,
  token: string,
  options: JWTVerifyOptions,
): Promise<{ payload: JWTPayload; key: Key }> {
  const verify = async (keyOf: (header: JWSHeaderParameters) => Key | Promise<Key>) => {
    const { payload, key } = await jwtVerify(token, async (given) => keyOf(given), options)
    return { payload, key: key as Key }
  }
  try {
    return await verify((header) => verifier.key(header))
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    for await (const key of error) {
      try {
        return await verify(() => key)
      } catch (cause) {
        if (!(cause instanceof errors.JWSSignatureVerificationFailed)) throw cause
      }
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

function headerOf(token: string): JWSHeaderParameters & { alg: string } {
  try {
    const { alg, kid } = decodeProtectedHeader(token)
    if (typeof alg === 'string') return { alg, ...(typeof kid === 'string' && { kid }) }
  } catch {
    // The token has no JSON Web Token header: the error below says so.
  }
  throw invalid('it is not a signed JSON Web Token')
}

/** Rewords an error of jose, whose own message may quote the token. @throws AppError `keys_unavailable` */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} is missing or wrong`
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey)
    return 'no key of this hub made its signature'
  // An unreadable key set does not make the token invalid: a 401 would end an EventSource for good.
  const isForeign = !(error instanceof errors.JOSEError) || error.code === 'ERR_JOSE_GENERIC'
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid || isForeign)
    throw new AppError('keys_unavailable', 'Cannot verify tokens now: the key set cannot be read', {
      cause: error,
      retryAfterS: 5,
    })
  return 'it is not a JSON Web Token signed with a key of this hub'
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

/** The error of a rejected token. */
export function invalid(why: string): AppError {
  return new AppError('token_invalid', `Cannot accept this token: ${why}`)
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
