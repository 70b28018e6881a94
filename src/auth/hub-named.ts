import { decodeJwt } from 'jose'

/**
 * Returns the hub that a token or a ticket names, without verifying it: to pass a request to the hub, which verifies it. The claim is
 * `tidings.hub` of a token, and `hub` of a ticket.
 */
export function hubNamedBy(token: string): string | undefined {
  try {
    const { tidings, hub = (tidings as { hub?: unknown } | undefined)?.hub } = decodeJwt(token)
    return typeof hub === 'string' ? hub : undefined
  } catch {
    return // no JSON Web Token: the hub says so
  }
}
