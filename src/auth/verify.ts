import {
  type CryptoKey,
  decodeProtectedHeader,
  errors,
  type JWSHeaderParameters,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'
import { AppError } from '../errors.ts'
import { invalid } from './credentials.ts'
import type { Verifier } from './keys.ts'
import { type AuthOptions, CLOCK_TOLERANCE_S } from './options.ts'

/** The claims of a token, and the name of the key that verified it. */
export interface Verified {
  readonly payload: JWTPayload
  readonly source: string
}

/**
 * Verifies the signature and the times of a token, with the first key that fits.
 *
 * @throws AppError `token_invalid` with the reason but no part of the token, `keys_unavailable`
 */
export async function verified(
  token: string,
  verifiers: readonly Verifier[],
  { issuer, audience }: AuthOptions,
): Promise<Verified> {
  const header = headerOf(token)
  let why = 'no key of this hub has its algorithm'
  for (const verifier of verifiers) {
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
