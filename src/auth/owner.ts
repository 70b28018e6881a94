import type { Grant } from './authorize.ts'
import type { ApiKey } from './options.ts'

/** Prefix of the `source` of a grant that an API key gives. */
const API = 'api:'

/** The `source` of a grant that a session of the host gives. */
export const SESSION = 'session'

/** Names an API key as the source of grants. */
export function sourceOf({ name, sha256 }: ApiKey): string {
  return `${API}${name}:${sha256}`
}

/** Whether an API key gives the grant. The subject of the grant then is the key's name, not the `sub` of a token. */
export function isOfApiKey({ source }: Grant): boolean {
  return source?.startsWith(API) ?? false
}

/** Whether a session of the host gives the grant: no key has verified it. */
export function isOfSession({ source }: Grant): boolean {
  return source === SESSION
}

/** Names the owner of a stream. A token whose subject equals the name of an API key is another owner than the key. */
export function ownerOf(grant: Grant): string {
  if (grant.source === undefined) return 'nobody'
  const kind = isOfSession(grant) ? 'session' : isOfApiKey(grant) ? 'key' : 'token'
  return `${kind} ${grant.subject ?? ''}`
}
