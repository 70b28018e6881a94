import type { Context } from 'hono'
import { AppError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { Filter } from '../topic.ts'
import { authorize, type Grant, isWithin, openGrant } from './authorize.ts'
import { OpenCounts } from './counts.ts'
import { bearerOf, type Cookies, cookieOf, cookiesOf, invalid, isEqual, notBearer, sha256 } from './credentials.ts'
import { isForHub } from './hub-claim.ts'
import { type ApiKey, type AuthOptions, CLOCK_TOLERANCE_S, hasKeys } from './options.ts'
import { isOfApiKey, isOfSession, ownerOf, sourceOf } from './owner.ts'
import { Revocations, type Revoked } from './revocations.ts'
import { type GrantOf, grantOfSession } from './sessions.ts'
import { type Stream, Streams } from './streams.ts'
import { Tickets } from './tickets.ts'
import { Tokens } from './tokens.ts'

/** Readers of a revoked stream reconnect after this time, and their new request is refused with the reason. */
const RECONNECT_MS = 1000

/** Returns a request's header by its name in lower case. */
type HeaderOf = (name: string) => string | undefined

/** A request's grant and, at the first use of a ticket, the cookie with which a browser reconnects. */
export interface Granted {
  readonly grant: Grant
  readonly cookie?: { readonly value: string; readonly expiresAt: number }
}

/** Verifies credentials, and ends the open streams whose credentials have become invalid. */
export class Auth {
  readonly tickets: Tickets
  readonly #sessionOf: GrantOf | undefined
  readonly #read: () => AuthOptions | Promise<AuthOptions>
  #options: AuthOptions
  readonly #tokens: Tokens
  readonly #revocations: Revocations
  readonly #streams = new Streams()
  readonly #readers = new OpenCounts('too_many_readers', 'open a stream')
  readonly #maxStreamsOf: number
  /** Number of open streams whose grant a key has verified. While it is above 0, keys are read again periodically. */
  #keyedStreams = 0
  #timer: ReturnType<typeof setInterval> | undefined
  /** Whether there are keys to verify credentials with. A running hub never loses all of its keys. */
  readonly hasKeys: boolean
  /** Whether every client may do everything: there are neither keys nor sessions of a host. */
  readonly isOpen: boolean
  readonly cookies: Cookies
  #readAt = performance.now()
  #reloads = 0
  #reading: Promise<void> | undefined

  /**
   * @param read reads the options again, for keys that change while the hub runs
   * @param sessionOf asks the host for the grant of a request; a client without one needs a key, or is anonymous
   */
  constructor(
    hub: Hub,
    options: AuthOptions,
    read: () => AuthOptions | Promise<AuthOptions> = () => options,
    sessionOf?: GrantOf,
  ) {
    this.#options = options
    this.#sessionOf = sessionOf
    this.hasKeys = hasKeys(options)
    this.isOpen = !this.hasKeys && sessionOf === undefined
    this.cookies = cookiesOf(options.cookieName)
    this.#read = read
    this.#tokens = new Tokens(options)
    this.tickets = new Tickets(hub, options.hub?.isRequired ? options.hub.name : undefined)
    this.#revocations = new Revocations(hub, options.maxTokenMs, (key) =>
      this.#options.apiKeys.some(({ name }) => name === key),
    )
    this.#revocations.onRevoked = (name) => this.#closeRevoked(name)
    this.#maxStreamsOf = options.maxStreamsPerToken
  }

  /** Checks that the keys can be used. @throws AppError `config_invalid` */
  async check(): Promise<void> {
    await this.#tokens.check()
  }

  /**
   * Returns what a request may do. A session of the host decides alone. A client without a session is judged by its credentials: with keys,
   * they are verified or rejected, and there is no fallback to anonymous; without keys, they are the host's, and the client is anonymous.
   * Basic credentials belong to a proxy in front of the hub, and count as none.
   *
   * @throws AppError `token_invalid`, `keys_unavailable`, and those of the log, which has the revocations
   */
  grantOf(c: Context): Grant | Promise<Grant> {
    if (this.isOpen) return openGrant
    return this.#sessionOf ? this.#grantOfHost(c) : this.#grantOf(headersOf(c))
  }

  /** Returns the grant of a session of the host; without one, that of the other credentials. */
  async #grantOfHost(c: Context): Promise<Grant> {
    return (await this.#grantOfSession(c)) ?? this.#grantOf(headersOf(c))
  }

  async #grantOfSession(c: Context): Promise<Grant | undefined> {
    const session = await this.#sessionOf?.(c)
    return session && this.#unrevoked(grantOfSession(session))
  }

  async #grantOf(header: HeaderOf): Promise<Grant> {
    if (!this.hasKeys) return this.#options.anonymous // credentials are the host's, and it knows none of them
    await this.#reloadIfStale()
    const authorization = header('authorization')
    const bearer = bearerOf(authorization)
    const token = bearer ?? cookieOf(header('cookie'), this.cookies.login)
    if (token === undefined) return this.#anonymous(authorization)
    const apiKey = bearer === undefined ? undefined : await this.#apiKeyOf(bearer)
    return this.#unrevoked(apiKey ?? (await this.#tokens.verify(token)))
  }

  /** Returns what clients without credentials may do. If they may do nothing, Basic credentials get an error that asks for Bearer. */
  #anonymous(basic: string | undefined): Grant {
    const { anonymous } = this.#options
    if (basic !== undefined && anonymous.publish.length + anonymous.subscribe.length === 0) throw notBearer()
    return anonymous
  }

  /**
   * Returns what a request with or without a ticket may do. A session of the host, and credentials in the `Authorization` header, win over
   * the ticket.
   *
   * @throws AppError `ticket_invalid` and those of `grantOf`
   */
  async grantOfTicket(c: Context, ticket: string | undefined): Promise<Granted> {
    if (this.isOpen || ticket === undefined) return { grant: await this.grantOf(c) }
    const session = await this.#grantOfSession(c)
    if (session) return { grant: session }
    const header = headersOf(c)
    await this.#reloadIfStale()
    if (this.hasKeys && bearerOf(header('authorization')) !== undefined) return { grant: await this.#grantOf(header) }
    return this.#redeem(ticket, cookieOf(header('cookie'), this.cookies.event))
  }

  /** Throws if a grant has become invalid. For requests that last long after the check at their start. @throws AppError `token_invalid` */
  assertValid(grant: Grant): void | Promise<void> {
    if (grant.source !== undefined) return this.#assertValid(grant)
  }

  async #assertValid(grant: Grant): Promise<void> {
    await this.#reloadIfStale()
    const { expiresAt = Number.POSITIVE_INFINITY } = grant
    if (expiresAt + 1000 * CLOCK_TOLERANCE_S <= Date.now()) throw invalid('it has expired')
    await this.#unrevoked(grant)
    if (!(await this.#isStillValid(grant))) throw invalid('the key that verified it is gone')
  }

  /** Returns the token of an `Authorization` header, and its grant. @throws AppError `token_missing`, `token_invalid`, `keys_unavailable` */
  async tokenOf(authorization: string | undefined): Promise<{ readonly token: string; readonly grant: Grant }> {
    const token = bearerOf(authorization)
    if (token === undefined)
      throw new AppError('token_missing', 'Cannot do this without a token: send it as Authorization: Bearer')
    return { token, grant: await this.#unrevoked(await this.#tokens.verify(token)) }
  }

  /** @throws AppError of `authorize` */
  async revoke(grant: Grant, revoked: Revoked): Promise<void> {
    authorize(grant, 'publish', '$revoked')
    await this.#revocations.revoke(revoked)
  }

  /** Names the token subject or the API key whose limits apply to a grant; undefined for a grant without a subject. */
  ownerOf(grant: Grant): string | undefined {
    return grant.subject === undefined ? undefined : ownerOf(grant)
  }

  /**
   * Counts a stream for the subject of its grant, before the stream is open.
   *
   * @returns a function that removes it from the count, and may be called twice
   * @throws AppError `too_many_readers`
   */
  countStream(grant: Grant): () => void {
    const owner = this.ownerOf(grant)
    return owner === undefined ? () => {} : this.#readers.add(owner, this.#maxStreamsOf, 'by this grant')
  }

  /** Ends an open stream when its grant becomes invalid; at once, if the grant became invalid while the stream was opened. */
  async watch(subscription: Subscription, filter: Filter | undefined, grant: Grant): Promise<void> {
    this.#streams.add({ subscription, filter, grant })
    if (grant.source === undefined) return
    if (isKeyed(grant)) {
      this.#keyedStreams++
      this.#timer ??= setInterval(() => void this.reload().catch(() => {}), this.#options.reloadMs)
    }
    await this.endIfInvalid(subscription, grant)
  }

  /** Ends a stream if its grant has become invalid. */
  async endIfInvalid(subscription: Subscription, grant: Grant): Promise<void> {
    if (grant.source === undefined) return
    const isRevoked = (await this.#revocations.reasonFor(grant)) !== undefined
    if (isRevoked || !(await this.#isStillValid(grant))) subscription.finish('revoked', RECONNECT_MS, true)
  }

  /** Records the new filter and the new grant of an open stream. */
  change(stream: Stream, changes: Pick<Stream, 'filter' | 'grant'>): void {
    this.#streams.change(stream, changes)
  }

  /** Forgets a stream that has ended. */
  unwatch(subscription: Subscription): void {
    const ended = this.#streams.delete(subscription)
    if (!ended || !isKeyed(ended.grant) || --this.#keyedStreams > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /**
   * Returns the open stream of this name, if it belongs to the subject of the grant. Requests without credentials find only streams that
   * were opened without credentials.
   *
   * @throws AppError `stream_unknown`, for the streams of others too
   */
  streamOf(name: string, grant: Grant) {
    const stream = this.#streams.get(name)
    if (stream && ownerOf(stream.grant) === ownerOf(grant)) return stream
    throw new AppError('stream_unknown', 'Cannot find this stream: it is not open here, or not yours; open another')
  }

  /** Reads the keys again, and ends the streams of removed keys. @throws AppError `config_invalid`, and keeps the former keys */
  async reload(): Promise<void> {
    this.#readAt = performance.now()
    const reload = ++this.#reloads
    const options = await this.#read()
    if (!hasKeys(options))
      throw new AppError('config_invalid', 'Cannot remove all keys while running: stop the hub instead')
    await this.#tokens.reload(options)
    if (reload !== this.#reloads) return // a later reload has newer keys
    this.#options = options
    for (const { subscription, grant } of this.#streams)
      if (isKeyed(grant) && !(await this.#isStillValid(grant))) subscription.finish('revoked', RECONNECT_MS, true)
  }

  /** Reloads the keys if `reloadMs` have passed, also while no stream is open. Concurrent requests share a reload. */
  async #reloadIfStale(): Promise<void> {
    if (!this.hasKeys || performance.now() - this.#readAt < this.#options.reloadMs) return
    this.#reading ??= this.reload()
      .catch(() => {}) // the former keys stay
      .finally(() => {
        this.#reading = undefined
      })
    await this.#reading
  }

  /** Whether the key that verified a grant still exists. An API key must also still allow all of the grant. */
  async #isStillValid(grant: Grant): Promise<boolean> {
    if (isOfSession(grant)) return true
    if (!isOfApiKey(grant)) return this.#tokens.hasKey(grant.source!)
    const apiKey = this.#apiKeys().find((key) => grant.source === sourceOf(key))
    return apiKey !== undefined && isWithin(grant, apiKey)
  }

  #closeRevoked(name: string): void {
    for (const { subscription, grant } of this.#streams.revocableAs(name))
      if (this.#revocations.knownReasonFor(grant) !== undefined) subscription.finish('revoked', RECONNECT_MS, true)
  }

  async #redeem(ticket: string, cookie: string | undefined): Promise<Granted> {
    const { grant, isFirst } = await this.tickets.redeem(ticket, cookie)
    await this.#unrevoked(grant)
    if (grant.expiresAt! <= Date.now() || !(await this.#isStillValid(grant)))
      throw new AppError(
        'ticket_invalid',
        'Cannot accept this ticket: the token that it was made with is no longer valid',
      )
    if (!isFirst) return { grant }
    return { grant, cookie: { value: await this.tickets.cookieValue(grant), expiresAt: grant.expiresAt! } }
  }

  async #unrevoked(grant: Grant): Promise<Grant> {
    const reason = await this.#revocations.reasonFor(grant)
    if (reason === undefined) return grant
    throw invalid(reason)
  }

  /** The API keys of this hub. */
  #apiKeys(): readonly ApiKey[] {
    const { apiKeys, hub } = this.#options
    return apiKeys.filter((key) => isForHub(key.hub, hub))
  }

  /** Compares the hash of `key` with the hash of every API key, so that the time reveals nothing. */
  async #apiKeyOf(key: string): Promise<Grant | undefined> {
    if (this.#options.apiKeys.length === 0) return
    const hash = await sha256(key)
    let found: Grant | undefined
    for (const apiKey of this.#apiKeys()) {
      const { name, sha256, publish, subscribe } = apiKey
      if (isEqual(sha256, hash)) found = { publish, subscribe, subject: name, source: sourceOf(apiKey) }
    }
    return found
  }
}

/** Whether a key has verified a grant. */
function isKeyed(grant: Grant): boolean {
  return grant.source !== undefined && !isOfSession(grant)
}

function headersOf(c: Context): HeaderOf {
  return (name) => c.req.header(name)
}
