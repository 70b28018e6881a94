import {
  type CryptoKey,
  calculateJwkThumbprint,
  createRemoteJWKSet,
  exportJWK,
  importJWK,
  importSPKI,
  type JWK,
  type JWSHeaderParameters,
} from 'jose'
import { AppError } from '../errors.ts'
import { sha256 } from './credentials.ts'
import type { AuthOptions } from './options.ts'

/** A key or a set of keys that verifies tokens, and the algorithms for which it may be used. */
export interface Verifier {
  readonly algorithms: readonly string[]
  key(header: JWSHeaderParameters): CryptoKey | Uint8Array | Promise<CryptoKey | Uint8Array>
  /** Names the key that verified a token, by its value and not by its `kid`. */
  source(key: CryptoKey | Uint8Array): string | Promise<string>
  /** Whether the key of that name still exists. */
  hasKey(source: string): boolean | Promise<boolean>
  /** For a remote set of keys: its URL, and a function that reads the set again. A set that cannot be read stays as it was. */
  readonly set?: { readonly url: string; reload(): Promise<void> }
}

/** The algorithms of public keys. No algorithm of the list uses a secret, so a public key can never serve as a secret. */
const PUBLIC = ['RS256', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA']

/**
 * Makes the verifiers of the configured keys.
 *
 * @param before the former verifiers. A set of the same URL is reloaded and kept
 * @throws AppError `config_invalid`
 */
export async function readKeys(
  { secret, publicKey, jwksUrl }: AuthOptions,
  before: readonly Verifier[] = [],
): Promise<readonly Verifier[]> {
  const verifiers: Verifier[] = []
  if (secret !== undefined) {
    const bytes = new TextEncoder().encode(secret)
    verifiers.push({ ...named(`secret:${await fingerprint(secret)}`), algorithms: ['HS256'], key: () => bytes })
  }
  if (publicKey !== undefined) {
    const keys = await publicKeys(publicKey)
    const name = `public:${await fingerprint(publicKey.trim())}`
    verifiers.push({ ...named(name), algorithms: [...keys.keys()], key: ({ alg }) => keys.get(alg!)! })
  }
  if (jwksUrl !== undefined) {
    const keys = before.find(({ set }) => set?.url === jwksUrl) ?? keySet(jwksUrl)
    await keys.set!.reload()
    verifiers.push(keys)
  }
  return verifiers
}

function named(name: string): Pick<Verifier, 'source' | 'hasKey'> {
  return { source: () => name, hasKey: (source) => source === name }
}

/** A remote set of keys. Its URL is configured and never taken from a token; a token's `kid` only chooses among the keys. */
function keySet(url: string): Verifier {
  // The cache never expires, so that old keys stay in use while the set cannot be read. `reload` reads the set again.
  const keys = createRemoteJWKSet(new URL(url), {
    timeoutDuration: 5000,
    cooldownDuration: 10_000,
    cacheMaxAge: Number.POSITIVE_INFINITY,
  })
  const nameOf = async (jwk: JWK) => `set:${await calculateJwkThumbprint(jwk)}`
  return {
    algorithms: PUBLIC,
    key: (header) => keys(header),
    source: async (key) => nameOf(await exportJWK(key)),
    hasKey: async (source) => {
      for (const jwk of keys.jwks()?.keys ?? []) if ((await nameOf(jwk).catch(() => undefined)) === source) return true
      return false
    },
    set: { url, reload: () => keys.reload().catch(() => {}) }, // a token that needs a missing key reads the set again and gets the error
  }
}

async function publicKeys(text: string): Promise<ReadonlyMap<string, CryptoKey>> {
  const keys = new Map<string, CryptoKey>()
  const isJwk = text.trimStart().startsWith('{')
  for (const algorithm of PUBLIC) {
    try {
      keys.set(algorithm, isJwk ? await importPublicJwk(text, algorithm) : await importSPKI(text, algorithm))
    } catch {
      // The import fails for algorithms of other types of keys.
    }
  }
  if (keys.size > 0) return keys
  throw new AppError(
    'config_invalid',
    'Cannot use AUTH_PUBLIC_KEY: expected a public key as PEM (BEGIN PUBLIC KEY) or JWK: RSA, EC P-256 to P-521, or Ed25519',
  )
}

async function importPublicJwk(text: string, algorithm: string): Promise<CryptoKey> {
  const jwk = JSON.parse(text) as JWK
  if ('d' in jwk || jwk.kty === 'oct' || (jwk.alg !== undefined && jwk.alg !== algorithm))
    throw new TypeError('not for this')
  return (await importJWK(jwk, algorithm)) as CryptoKey
}

async function fingerprint(text: string): Promise<string> {
  return (await sha256(`tidings ${text}`)).slice(0, 16)
}
