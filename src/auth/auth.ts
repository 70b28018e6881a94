import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { Filter } from '../topic.ts'
import { authorize, type Grant, isWithin, openGrant } from './authorize.ts'
import { bearerOf, type Cookies, cookieOf, cookiesOf, isEqual, sha256 } from './credentials.ts'
import { type ApiKey, type AuthOptions, hasKeys } from './options.ts'
import { Readers } from './readers.ts'
import { Revocations, type Revoked } from './revocations.ts'
import { Streams } from './streams.ts'
import { Tickets } from './tickets.ts'
import { CLOCK_TOLERANCE_S, invalid, Tokens } from './tokens.ts'

/** What a stream whose grant has gone tells its reader to wait before it comes back, and is told why it may not. */
const RETURN_MS = 1000

/** What the names of API keys as sources begin with. */
const API = 'api:'

/** A request's header by its name, in lower case. */
type HeaderOf = (name: string) => string | undefined

/** A ticket's grant, and at its first use the cookie with which a browser reconnects. */
export interface Granted {
  readonly grant: Grant
  readonly cookie?: { readonly value: string; readonly expiresAt: number }
}

/** Who somebody is and what they may do; and which streams are open by what. */
export class Auth {
  readonly tickets: Tickets
  readonly #read: () => AuthOptions | Promise<AuthOptions>
  #options: AuthOptions
  readonly #tokens: Tokens
  readonly #revocations: Revocations
  readonly #streams = new Streams()
  readonly #readers = new Readers()
  readonly #maxStreamsOf: number
  /** Streams that some key vouches for: while there are any, keys are read anew. */
  #vouched = 0
  #timer: ReturnType<typeof setInterval> | undefined
  /** Whether somebody has to say who they are. A hub that has keys never becomes an open one. */
  readonly hasKeys: boolean
  readonly cookies: Cookies
  #readAt = performance.now()
  #turns = 0
  #reading: Promise<void> | undefined

  /** @param read the options as they are now, for keys that change while we run */
  constructor(hub: Hub, options: AuthOptions, read: () => AuthOptions | Promise<AuthOptions> = () => options) {
    this.#options = options
    this.hasKeys = hasKeys(options)
    this.cookies = cookiesOf(options.cookieName)
    this.#read = read
    this.#tokens = new Tokens(options)
    this.tickets = new Tickets(hub)
    this.#revocations = new Revocations(hub, options.maxTokenMs, (sub) =>
      this.#options.apiKeys.some(({ name }) => name === sub),
    )
    this.#revocations.onRevoked = () => void this.#closeRevoked()
    this.#maxStreamsOf = options.maxStreamsPerToken
  }

  /** Resolves when the keys can be used. @throws AppError `config_invalid` */
  async check(): Promise<void> {
    await this.#tokens.check()
  }

  /**
   * Returns what a request may do. Presented credentials are verified or rejected; there is no fallback to anonymous.
   *
   * @throws AppError `token_invalid`, `keys_unavailable`
   */
  grantOf(header: HeaderOf): Grant | Promise<Grant> {
    return this.hasKeys ? this.#grantOf(header) : openGrant
  }

  async #grantOf(header: HeaderOf): Promise<Grant> {
    await this.#refresh()
    const bearer = bearerOf(header('authorization'))
    const token = bearer ?? cookieOf(header('cookie'), this.cookies.login)
    if (token === undefined) return this.#options.anonymous
    const apiKey = bearer === undefined ? undefined : await this.#apiKeyOf(bearer)
    return this.#unrevoked(apiKey ?? (await this.#tokens.verify(token)))
  }

  /**
   * Returns what a request with a ticket may do, or one without. A token in a header wins over the ticket.
   *
   * @throws AppError `ticket_invalid` and those of `grantOf`
   */
  async grantOfTicket(header: HeaderOf, ticket: string | undefined): Promise<Granted> {
    if (!this.hasKeys || ticket === undefined) return { grant: await this.grantOf(header) }
    await this.#refresh()
    if (bearerOf(header('authorization')) !== undefined) return { grant: await this.#grantOf(header) }
    return this.#redeemed(ticket, cookieOf(header('cookie'), this.cookies.event))
  }

  /** A grant is still good: asked by what goes on for long after its request was let in. @throws AppError `token_invalid` */
  assertValid(grant: Grant): void | Promise<void> {
    if (grant.source !== undefined) return this.#assertValid(grant)
  }

  async #assertValid(grant: Grant): Promise<void> {
    await this.#refresh()
    const { expiresAt = Number.POSITIVE_INFINITY } = grant
    if (expiresAt + 1000 * CLOCK_TOLERANCE_S <= Date.now()) throw invalid('it has expired')
    await this.#unrevoked(grant)
    if (!(await this.#isThere(grant))) throw invalid('what vouched for it has gone')
  }

  /** The grant of a token that somebody sends on purpose. @throws AppError as `grantOf`, `token_missing` */
  async tokenOf(authorization: string | undefined): Promise<{ readonly token: string; readonly grant: Grant }> {
    const token = bearerOf(authorization)
    if (token === undefined)
      throw new AppError('token_missing', 'Cannot do this without a token: send it as Authorization: Bearer')
    return { token, grant: await this.#unrevoked(await this.#tokens.verify(token)) }
  }

  /** @throws AppError `token_invalid` (an API key) and those of `authorize` */
  async revoke(grant: Grant, revoked: Revoked): Promise<void> {
    authorize(grant, 'publish', '$revoked')
    await this.#revocations.revoke(revoked)
  }

  /**
   * Counts a stream of a subject in, before it is open, and out with what it returns, which may be called twice.
   *
   * @throws AppError `too_many_readers` if it has as many as one may
   */
  countStream(grant: Grant): () => void {
    if (grant.subject === undefined) return () => {}
    return this.#readers.enter(ownerOf(grant), this.#maxStreamsOf, 'by this grant')
  }

  /** Keeps an eye on a stream for as long as it is open. One whose grant went while it was opened ends at once. */
  async watch(subscription: Subscription, filter: Filter | undefined, grant: Grant): Promise<void> {
    this.#streams.add({ subscription, filter, grant })
    if (grant.source === undefined) return
    this.#vouched++
    this.#timer ??= setInterval(() => void this.reload().catch(() => {}), this.#options.reloadMs)
    await this.endIfInvalid(subscription, grant)
  }

  /** Ends a stream whose grant has gone while it was given. */
  async endIfInvalid(subscription: Subscription, grant: Grant): Promise<void> {
    if (grant.source === undefined) return
    const isGone = (await this.#revocations.isRevoked(grant)) || !(await this.#isThere(grant))
    if (isGone) subscription.finish('revoked', RETURN_MS, true)
  }

  /** The stream has ended. */
  unwatch(subscription: Subscription): void {
    const ended = this.#streams.delete(subscription)
    if (ended?.grant.source === undefined || --this.#vouched > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /**
   * The open stream of this name, if it is of this subject; one that a key vouches for is never left to nobody.
   *
   * @throws AppError `stream_unknown`, the same for those of others
   */
  streamOf(name: string, grant: Grant) {
    const stream = this.#streams.get(name)
    if (stream && ownerOf(stream.grant) === ownerOf(grant)) return stream
    throw new AppError('stream_unknown', 'Cannot find this stream: it is not open here, or not yours; open another')
  }

  /** Reads the keys anew and ends the streams of those that are gone. @throws AppError `config_invalid`, and nothing changes */
  async reload(): Promise<void> {
    this.#readAt = performance.now()
    const turn = ++this.#turns
    const options = await this.#read()
    if (!hasKeys(options))
      throw new AppError('config_invalid', 'Cannot take away all keys while running: stop the hub instead')
    await this.#tokens.reload(options)
    if (turn !== this.#turns) return // a later reading knows better
    this.#options = options
    for (const { subscription, grant } of this.#streams)
      if (grant.source !== undefined && !(await this.#isThere(grant))) subscription.finish('revoked', RETURN_MS, true)
  }

  /** Keys are looked at again also where no stream is open; whoever comes meanwhile waits for it once. */
  async #refresh(): Promise<void> {
    if (performance.now() - this.#readAt < this.#options.reloadMs) return
    this.#reading ??= this.reload()
      .catch(() => {}) // they stay as they were
      .finally(() => {
        this.#reading = undefined
      })
    await this.#reading
  }

  /** Whether what vouched for a grant is still there, and an API key's line still allows all of it. */
  async #isThere(grant: Grant): Promise<boolean> {
    if (!grant.source!.startsWith(API)) return this.#tokens.isThere(grant.source!)
    const apiKey = this.#options.apiKeys.find((key) => grant.source === sourceOf(key))
    return apiKey !== undefined && isWithin(grant, apiKey)
  }

  async #closeRevoked(): Promise<void> {
    for (const { subscription, grant } of this.#streams)
      if (await this.#revocations.isRevoked(grant)) subscription.finish('revoked', RETURN_MS, true)
  }

  async #redeemed(ticket: string, cookie: string | undefined): Promise<Granted> {
    const { grant, isFirst } = await this.tickets.redeem(ticket, cookie)
    await this.#unrevoked(grant)
    if (grant.expiresAt! <= Date.now() || !(await this.#isThere(grant)))
      throw new AppError('ticket_invalid', 'Cannot accept this ticket: what it was made with has ended')
    if (!isFirst) return { grant }
    return { grant, cookie: { value: await this.tickets.cookie(grant), expiresAt: grant.expiresAt! } }
  }

  async #unrevoked(grant: Grant): Promise<Grant> {
    if (!(await this.#revocations.isRevoked(grant))) return grant
    throw invalid('it has been revoked')
  }

  /** Every key is compared, and by its hash, so that the time taken tells nothing. */
  async #apiKeyOf(key: string): Promise<Grant | undefined> {
    if (this.#options.apiKeys.length === 0) return
    const hash = await sha256(key)
    let found: Grant | undefined
    for (const apiKey of this.#options.apiKeys) {
      const { name, sha256, publish, subscribe } = apiKey
      if (isEqual(sha256, hash)) found = { publish, subscribe, subject: name, source: sourceOf(apiKey) }
    }
    return found
  }
}

/** Whose a stream is. A token's subject may have the name of an API key, and is another for that. */
function ownerOf({ subject = '', source }: Grant): string {
  if (source === undefined) return 'nobody'
  return `${source.startsWith(API) ? 'key' : 'token'} ${subject}`
}

function sourceOf({ name, sha256 }: ApiKey): string {
  return `${API}${name}:${sha256}`
}
