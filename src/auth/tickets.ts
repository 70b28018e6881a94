import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import { INSIDE } from '../hub/inside.ts'
import type { Grant } from './authorize.ts'
import { loaded } from './loaded.ts'

/** A ticket expires after this time. */
const TICKET_S = 60

interface Ticket {
  readonly grant: Grant
  readonly id: string
  readonly isExpired: boolean
}

/**
 * Tickets are credentials for an EventSource, which cannot send headers. A ticket is a string for the URL, for one use within a minute. It
 * holds the grant of the token that it was made with. The hub signs tickets with a secret that its log keeps for all nodes.
 */
export class Tickets {
  readonly #hub: Hub
  readonly #hubName: string | undefined
  #secret: Promise<Uint8Array> | undefined
  #restarts = 0

  /** @param hubName what a ticket names, so that its request finds the hub */
  constructor(hub: Hub, hubName?: string) {
    this.#hub = hub
    this.#hubName = hubName
  }

  /** Makes a ticket that allows its holder to subscribe to the topics of the grant, until the grant expires. */
  async issue(grant: Grant): Promise<{ readonly ticket: string; readonly expiresAt: number }> {
    const expiresAt = Date.now() + 1000 * TICKET_S
    const ticket = await this.#sign(grant, 'ticket', expiresAt)
    return { ticket, expiresAt }
  }

  /** Makes the value of the event cookie. */
  cookieValue(grant: Grant): Promise<string> {
    return this.#sign(grant, 'event', grant.expiresAt!)
  }

  /**
   * Returns the grant of a ticket at its first use, and at later uses that have the cookie of the first. A use before the expiry publishes
   * with the ticket's id as the idempotency key: only the first use, on whichever node, is no duplicate.
   *
   * @throws AppError `ticket_invalid`, and those of the log, which has the secret
   */
  async redeem(
    text: string,
    cookie: string | undefined,
  ): Promise<{ readonly grant: Grant; readonly isFirst: boolean }> {
    const ticket = await this.#read(text, 'ticket')
    if (!ticket) throw invalid('this hub has not issued it')
    if (!ticket.isExpired && !(await this.#hub[INSIDE].topics.publish('$tickets', '', ticket.id)).duplicate)
      return { grant: ticket.grant, isFirst: true }
    const known = cookie === undefined ? undefined : await this.#read(cookie, 'event')
    if (!known || known.isExpired || !isSame(known.grant, ticket.grant)) throw invalid('it has expired or been used')
    return { grant: known.grant, isFirst: false }
  }

  async #sign({ subscribe, subject, id, issuedAt, expiresAt, source }: Grant, use: string, until: number) {
    const grant = { subscribe, subject, id, issuedAt, expiresAt, source }
    const { SignJWT } = await loaded(() => import('jose'))
    return new SignJWT({ grant, ...(this.#hubName !== undefined && { hub: this.#hubName }) })
      .setProtectedHeader({ alg: 'HS256', typ: `tidings-${use}` })
      .setJti(crypto.randomUUID())
      .setExpirationTime(Math.floor(until / 1000))
      .sign(await this.#key())
  }

  async #read(text: string, use: string): Promise<Ticket | undefined> {
    if (text.length > 16_384) return
    const options = { algorithms: ['HS256'], typ: `tidings-${use}`, currentDate: new Date(0) } // expiry is checked below
    const { jwtVerify } = await loaded(() => import('jose'))
    const key = await this.#key()
    try {
      const { payload } = await jwtVerify<{ grant: Omit<Grant, 'publish'> }>(text, key, options)
      const grant: Grant = { ...payload.grant, publish: [] }
      return { grant, id: payload.jti!, isExpired: 1000 * payload.exp! <= Date.now() }
    } catch {
      return // invalid signature: not issued by this hub
    }
  }

  #key(): Promise<Uint8Array> {
    if (this.#restarts !== this.#hub[INSIDE].restarts()) this.#secret = undefined // a new log has another secret
    this.#restarts = this.#hub[INSIDE].restarts()
    this.#secret ??= this.#hub[INSIDE].topics.secret('tickets').then((secret) => new TextEncoder().encode(secret))
    this.#secret.catch(() => {
      this.#secret = undefined
    })
    return this.#secret
  }
}

/** Whether two grants have the same subject and the same subscriptions. */
function isSame(one: Grant, other: Grant): boolean {
  return one.subject === other.subject && JSON.stringify(one.subscribe) === JSON.stringify(other.subscribe)
}

function invalid(why: string): AppError {
  return new AppError('ticket_invalid', `Cannot accept this ticket: ${why}; ask for another with POST /ticket`)
}
