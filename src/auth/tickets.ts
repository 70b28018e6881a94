import { jwtVerify, SignJWT } from 'jose'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { Grant } from './authorize.ts'

/** How long a ticket is good for. */
const TICKET_S = 60

interface Ticket {
  readonly grant: Grant
  readonly id: string
  readonly isExpired: boolean
}

/**
 * Tickets let an EventSource in, which can send no header: a string for the URL that is good for one use within a minute, and for
 * the grant that it was made with. They are signed with a secret that the hub makes for itself and keeps in its log, so that
 * every node of a hub knows them.
 */
export class Tickets {
  readonly #hub: Hub
  #secret: Promise<Uint8Array> | undefined
  #restarts = 0

  constructor(hub: Hub) {
    this.#hub = hub
  }

  /** @param grant of a token: what it may subscribe to, until it ends */
  async issue(grant: Grant): Promise<{ readonly ticket: string; readonly expiresAt: number }> {
    const expiresAt = Date.now() + 1000 * TICKET_S
    const ticket = await this.#sign(grant, 'ticket', expiresAt)
    return { ticket, expiresAt }
  }

  /** What the event cookie holds. */
  cookie(grant: Grant): Promise<string> {
    return this.#sign(grant, 'event', grant.expiresAt!)
  }

  /**
   * The grant of a ticket at its first use, or at any later one with the cookie that the first one set.
   * To use it is to append its name as a key: whoever comes second finds it taken, on whatever node.
   *
   * @throws AppError `ticket_invalid`
   */
  async redeem(
    text: string,
    cookie: string | undefined,
  ): Promise<{ readonly grant: Grant; readonly isFirst: boolean }> {
    const ticket = await this.#read(text, 'ticket')
    if (!ticket) throw invalid('it is none of this hub')
    if (!ticket.isExpired && !(await this.#hub.internal.publish('$tickets', '', ticket.id)).duplicate)
      return { grant: ticket.grant, isFirst: true }
    const kept = cookie === undefined ? undefined : await this.#read(cookie, 'event')
    if (!kept || kept.isExpired || !isSame(kept.grant, ticket.grant)) throw invalid('it has expired or been used')
    return { grant: kept.grant, isFirst: false }
  }

  async #sign({ subscribe, subject, id, issuedAt, expiresAt, source }: Grant, use: string, until: number) {
    return new SignJWT({ grant: { subscribe, subject, id, issuedAt, expiresAt, source } })
      .setProtectedHeader({ alg: 'HS256', typ: `tidings-${use}` })
      .setJti(crypto.randomUUID())
      .setExpirationTime(Math.floor(until / 1000))
      .sign(await this.#key())
  }

  async #read(text: string, use: string): Promise<Ticket | undefined> {
    if (text.length > 16_384) return
    const options = { algorithms: ['HS256'], typ: `tidings-${use}`, currentDate: new Date(0) } // its age is looked at below
    try {
      const { payload } = await jwtVerify<{ grant: Omit<Grant, 'publish'> }>(text, await this.#key(), options)
      const grant: Grant = { ...payload.grant, publish: [] }
      return { grant, id: payload.jti!, isExpired: 1000 * payload.exp! <= Date.now() }
    } catch {
      return // It is none of ours: a signature says so, and nothing else matters.
    }
  }

  #key(): Promise<Uint8Array> {
    if (this.#restarts !== this.#hub.restarts) this.#secret = undefined // it went with the log that had it
    this.#restarts = this.#hub.restarts
    this.#secret ??= this.#hub.internal.secret('tickets').then((secret) => new TextEncoder().encode(secret))
    this.#secret.catch(() => {
      this.#secret = undefined
    })
    return this.#secret
  }
}

/** Whether two grants were given to the same one for the same. */
function isSame(one: Grant, other: Grant): boolean {
  return one.subject === other.subject && JSON.stringify(one.subscribe) === JSON.stringify(other.subscribe)
}

function invalid(why: string): AppError {
  return new AppError('ticket_invalid', `Cannot accept this ticket: ${why}; ask for another with POST /ticket`)
}
