import { AppError, quote } from '../errors.ts'
import { covers } from '../topic.ts'

/**
 * What somebody may do: topics and patterns to publish to and to subscribe to. To publish to one of the hub's own topics is to have
 * the hub act: `$topics/<topic>` to delete what a topic has, `$revoked` to revoke tokens.
 */
export interface Grant {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** Whom it was given to: a token's `sub`, or the name of an API key. */
  readonly subject?: string
  /** Names the token among all (`jti`). */
  readonly id?: string
  /** In ms since 1970. */
  readonly issuedAt?: number
  readonly expiresAt?: number
  /** Names the key that vouched for it; missing for what nobody has to vouch for. */
  readonly source?: string
}

export type Action = 'publish' | 'subscribe'

/** Everything that a hub without keys allows to everybody who reaches it. */
export const openGrant: Grant = { publish: ['**', '$store', '$topics/**'], subscribe: ['**', '$store'] }

/** What the hub keeps to itself, whatever a grant says. */
const kept = ['$secrets', '$tickets']

/**
 * The one place that decides who may do what. A name may be a pattern: it is allowed if all that it can ever match is, so that
 * what a reader gets, live or replayed, needs no second look than its own filter.
 */
export function isAllowed(grant: Grant, action: Action, name: string): boolean {
  if (action === 'subscribe' && kept.includes(name.split('/')[0]!)) return false
  return isGranted(name, grant[action])
}

type Allowed = Pick<Grant, Action>

/** Whether one may do nothing that the other may not. */
export function isWithin(one: Allowed, other: Allowed): boolean {
  const isGrantedAll = (action: Action) => one[action].every((name) => isGranted(name, other[action]))
  return isGrantedAll('publish') && isGrantedAll('subscribe')
}

function isGranted(name: string, by: readonly string[]): boolean {
  return by.some((granted) => covers(granted, name))
}

/** @throws AppError `forbidden`, the same for topics that exist and that do not; `token_missing` for who has not said who they are */
export function authorize(grant: Grant, action: Action, name: string): void {
  if (isAllowed(grant, action, name)) return
  if (grant === openGrant || grant.source !== undefined)
    throw new AppError('forbidden', `Cannot ${action} ${quote(name)}: the grant does not allow it`)
  throw new AppError(
    'token_missing',
    `Cannot ${action} ${quote(name)}: send a token that allows it as Authorization: Bearer`,
  )
}
