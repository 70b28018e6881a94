import { AppError, quote } from '../errors.ts'
import { covers } from '../topic.ts'

/**
 * The topics and patterns that a client may publish to and subscribe to. Permissions to publish to the hub's own topics stand for actions:
 * `$topics/<topic>` for deleting a topic or its events, `$stop/<topic>` for stopping its run, `$revoked` for revoking tokens and API keys.
 */
export interface Grant {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** The `sub` of the token, or the name of the API key. */
  readonly subject?: string
  /** The `jti` of the token. */
  readonly id?: string
  /** In ms since 1970. */
  readonly issuedAt?: number
  readonly expiresAt?: number
  /** Names the key that verified the credentials; missing without credentials. */
  readonly source?: string
}

export type Action = 'publish' | 'subscribe'

/** What every client of a hub without keys may do. */
export const openGrant: Grant = { publish: ['**', '$store', '$topics/**', '$stop/**'], subscribe: ['**', '$store'] }

/** First segments of topics that no grant allows to read. */
const unreadable = ['$secrets', '$tickets']

/**
 * Decides whether a grant allows an action; no other code does. A pattern is allowed if the grant covers every topic that the pattern can
 * ever match. So a reader's filter is the only check that its events need, live or replayed.
 */
export function isAllowed(grant: Grant, action: Action, name: string): boolean {
  if (action === 'subscribe' && unreadable.includes(name.split('/')[0]!)) return false
  return isGranted(name, grant[action])
}

type Permissions = Pick<Grant, Action>

/** Whether `other` allows everything that `one` allows. */
export function isWithin(one: Permissions, other: Permissions): boolean {
  const isCovered = (action: Action) => one[action].every((name) => isGranted(name, other[action]))
  return isCovered('publish') && isCovered('subscribe')
}

function isGranted(name: string, by: readonly string[]): boolean {
  return by.some((granted) => covers(granted, name))
}

/**
 * Throws unless the grant allows the action. The error does not tell whether the topic exists.
 *
 * @throws AppError `forbidden`, `token_missing` (a client without credentials, of a hub with keys)
 */
export function authorize(grant: Grant, action: Action, name: string): void {
  if (isAllowed(grant, action, name)) return
  if (grant === openGrant || grant.source !== undefined)
    throw new AppError('forbidden', `Cannot ${action} ${quote(name)}: the grant does not allow it`)
  throw new AppError(
    'token_missing',
    `Cannot ${action} ${quote(name)}: log in, or send a token that allows it as Authorization: Bearer`,
  )
}
