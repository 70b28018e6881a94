import type { Context } from 'hono'
import { AppError } from '../errors.ts'
import { Filter } from '../topic.ts'
import type { Grant } from './authorize.ts'
import { invalid } from './credentials.ts'
import { SESSION } from './owner.ts'

/**
 * What a host lets a client do: the topics and patterns that it may publish to and subscribe to. A list that is left out allows nothing.
 *
 * @example
 * const grant: SessionGrant = { subscribe: ['news/**', 'users/ann'], publish: ['chat/*'], subject: 'ann' }
 */
export interface SessionGrant {
  /**
   * `$store` stands for the demo's message, `$topics/<pattern>` for deleting topics, `$stop/<pattern>` for stopping their runs, `$revoked`
   * for revoking.
   */
  readonly publish?: readonly string[]
  readonly subscribe?: readonly string[]
  /** Names the user. Streams are counted for each (`maxReadersPerToken`), and `POST /revoke` ends those of one. */
  readonly subject?: string
  /** Names the session, for `POST /revoke`. */
  readonly id?: string
  /** When the session began, in ms since 1970. A session that began before its subject was revoked is refused. */
  readonly issuedAt?: number
  /** When the session ends, in ms since 1970. Its streams end then, at the latest at their `LIFETIME`; each new request is asked for anew. */
  readonly expiresAt?: number
}

/**
 * Returns what the session of a request may do; undefined for a client that is not logged in. It is asked once for each request.
 *
 * @example
 * const grantOf: GrantOf = (c) => (c.req.header('x-user') ? { subscribe: ['news/**'] } : undefined)
 * const app = createApp({ hub, grantOf })
 */
export type GrantOf = (c: Context) => SessionGrant | undefined | Promise<SessionGrant | undefined>

/** Makes the grant of a session. @throws AppError `internal`: a name that is no topic or pattern; `token_invalid`: the session is over */
export function grantOfSession({ publish = [], subscribe = [], ...rest }: SessionGrant): Grant {
  for (const name of [...publish, ...subscribe]) checkName(name)
  if (rest.expiresAt !== undefined && rest.expiresAt <= Date.now()) throw invalid('the session is over')
  return { ...rest, publish, subscribe, source: SESSION }
}

/** A name that is no pattern could allow more than it seems to. */
function checkName(name: string): void {
  try {
    Filter.parse([name])
  } catch (cause) {
    throw new AppError('internal', 'Cannot use what grantOf returns: it names something that is no topic or pattern', {
      cause,
    })
  }
}
