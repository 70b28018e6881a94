import type { Grant } from './authorize.ts'
import type { ApiKey } from './options.ts'

/** Prefix of a grant's `source` that is an API key. */
const API = 'api:'

/** Names an API key as the source of grants. */
export function sourceOf({ name, sha256 }: ApiKey): string {
  return `${API}${name}:${sha256}`
}

/** Whether a grant is that of an API key: its subject is the key's name then, and not the `sub` of a token. */
export function isOfApiKey({ source }: Grant): boolean {
  return source?.startsWith(API) ?? false
}

/** Names the owner of a stream. A token's subject with the name of an API key is another owner. */
export function ownerOf(grant: Grant): string {
  if (grant.source === undefined) return 'nobody'
  return `${isOfApiKey(grant) ? 'key' : 'token'} ${grant.subject ?? ''}`
}
