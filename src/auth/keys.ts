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

/** What verifies a token: a key of ours, with the algorithms that it is for and no others. */
export interface Verifier {
  readonly algorithms: readonly string[]
  key(header: JWSHeaderParameters): CryptoKey | Uint8Array | Promise<CryptoKey | Uint8Array>
  /** Names the key that verified a token, by what it is and not by what it is called. */
  source(key: CryptoKey | Uint8Array): string | Promise<string>
  /** Whether the key of that name is still there. */
  isThere(source: string): boolean | Promise<boolean>
  /** Of a set of keys elsewhere: its URL, and how to read it anew; what cannot be read stays as it was last seen. */
  readonly set?: { readonly url: string; reload(): Promise<void> }
}

/** What a public key may be for. None of them takes a secret, so no public key can be taken for one. */
const PUBLIC = ['RS256', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA']

/** @param before the keys until now, of which a set stays, read anew. @throws AppError `config_invalid` */
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

function named(name: string): Pick<Verifier, 'source' | 'isThere'> {
  return { source: () => name, isThere: (source) => source === name }
}

/** A set of keys by its URL, which is configured and never taken from a token. A `kid` chooses among its keys and is nothing else. */
function keySet(url: string): Verifier {
  // It is read anew when we say so: what is stale is better than nothing while it cannot be read.
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
    isThere: async (source) => {
      for (const jwk of keys.jwks()?.keys ?? []) if ((await nameOf(jwk).catch(() => undefined)) === source) return true
      return false
    },
    set: { url, reload: () => keys.reload().catch(() => {}) }, // a token that needs it tries again, and tells
  }
}

async function publicKeys(text: string): Promise<ReadonlyMap<string, CryptoKey>> {
  const keys = new Map<string, CryptoKey>()
  const isJwk = text.trimStart().startsWith('{')
  for (const algorithm of PUBLIC) {
    try {
      keys.set(algorithm, isJwk ? await importPublicJwk(text, algorithm) : await importSPKI(text, algorithm))
    } catch {
      // A key is for some algorithms and not for others: which ones, its import tells.
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
