import type { HubName } from './hub-claim.ts'

/** Most seconds by which clocks may differ. */
export const CLOCK_TOLERANCE_S = 5

/** The keys that verify credentials, and their limits. A hub without any key is open. */
export interface AuthOptions {
  /** Shared secret for HS256, at least 32 bytes. */
  readonly secret?: string
  /** A public key, PEM (SPKI) or JWK. */
  readonly publicKey?: string
  /** The URL of a JSON Web Key Set. */
  readonly jwksUrl?: string
  readonly issuer?: string
  readonly audience?: string
  /** Longest time until a token expires. */
  readonly maxTokenMs: number
  /** Most open streams of one subject. */
  readonly maxStreamsPerToken: number
  /** Keys are read again after this time. */
  readonly reloadMs: number
  readonly apiKeys: readonly ApiKey[]
  /** Which hub this is, for credentials that name one. */
  readonly hub?: HubName
  /** Part of the names of cookies. */
  readonly cookieName: string
  /** What clients without credentials may do. */
  readonly anonymous: { readonly publish: readonly string[]; readonly subscribe: readonly string[] }
}

/** A key for servers and scripts: its name, its SHA-256 in hex, and what it allows. */
export interface ApiKey {
  readonly name: string
  readonly sha256: string
  /** The hub that the key is for, if several share their keys. */
  readonly hub?: string
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

/** Removes a byte order mark, and CR and LF at the end: editors and shells add these invisible characters. */
export function withoutLineEnd(secret: string): string {
  return secret.replace(/^\ufeff/, '').replace(/[\r\n\ufeff]+$/, '')
}

/** Whether there is any key to verify credentials with. */
export function hasKeys({ secret, publicKey, jwksUrl, apiKeys }: AuthOptions): boolean {
  return secret !== undefined || publicKey !== undefined || jwksUrl !== undefined || apiKeys.length > 0
}
