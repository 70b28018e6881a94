import { decodeJwt } from 'jose'

/**
 * Returns the hub that a token or a ticket names, without verifying it: to pass a request to the hub, which verifies it. The claim is
 * `tidings.hub` of a token, whose own `hub` may mean anything, and `hub` of a ticket.
 */
export function hubNamedBy(token: string): string | undefined {
  try {
    const { tidings, hub } = decodeJwt<{ tidings?: { hub?: unknown }; hub?: unknown }>(token)
    const named = tidings?.hub ?? hub
    return typeof named === 'string' ? named : undefined
  } catch {
    return // no JSON Web Token: the hub says so
  }
}
