/** Who may come, as it is set. A hub without any key is open. */
export interface AuthOptions {
  /** Shared secret for HS256, at least 32 bytes. */
  readonly secret?: string
  /** A public key, PEM (SPKI) or JWK. */
  readonly publicKey?: string
  /** Where a JSON Web Key Set is. */
  readonly jwksUrl?: string
  readonly issuer?: string
  readonly audience?: string
  /** Longest time that a token may have left. */
  readonly maxTokenMs: number
  /** Most open streams of one subject. */
  readonly maxStreamsPerToken: number
  /** After how long keys are looked at again. */
  readonly reloadMs: number
  readonly apiKeys: readonly ApiKey[]
  /** What the names of cookies are made of. */
  readonly cookieName: string
  /** What those may do who do not say who they are. */
  readonly anonymous: { readonly publish: readonly string[]; readonly subscribe: readonly string[] }
}

/** For servers and scripts: a name, the SHA-256 of the key in hex, and what it allows. */
export interface ApiKey {
  readonly name: string
  readonly sha256: string
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

export const defaultAuthOptions: AuthOptions = {
  maxTokenMs: 24 * 3_600_000,
  maxStreamsPerToken: 100,
  reloadMs: 60_000,
  apiKeys: [],
  cookieName: 'tidings',
  anonymous: { publish: [], subscribe: [] },
}

/** Whether there is any key to verify credentials with. */
export function hasKeys({ secret, publicKey, jwksUrl, apiKeys }: AuthOptions): boolean {
  return secret !== undefined || publicKey !== undefined || jwksUrl !== undefined || apiKeys.length > 0
}
