import type { Context } from 'hono'
import { AppError } from '../errors.ts'
import { clientOf, isTrustedPeer, parseTrusted, type Trusted } from './address.ts'
import { OpenCounts } from './counts.ts'
import { Queues, sleep } from './queues.ts'

/** Limits of one client. A missing field means no limit. */
export interface ClientLimits {
  /** Most open streams of one address. */
  readonly maxReadersPerAddress?: number
  /** Most messages that one address publishes in a second. The address's bucket holds that many, and fills within a second. */
  readonly publishRate?: number
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies?: readonly string[]
}

/** From this many buckets on, the full buckets are deleted. */
const MAX_BUCKETS = 10_000

const NO_ADDRESS =
  "Cannot limit clients by their address: this request has none; give createApp addressOf, or on Node serve the app with tidings/node's handler, or set maxReadersPerAddress, maxStreamedBodiesPerAddress and publishRate to 'none'"

type Take = (bucket: string, count: number, perSecond: number) => Promise<number | undefined>

/** Limits the streams and the messages of each client address. Requests without an address have no limit, about which the operator is warned. */
export class Clients {
  readonly #limits: ClientLimits
  readonly #trusted: Trusted
  readonly #peerOf: (c: Context) => string | undefined
  readonly #sharedTake: Take
  readonly #readers = new OpenCounts('too_many_readers', 'open a stream')
  /** Streamed bodies that wait for the bucket of their address. */
  readonly #queues = new Queues()
  /** When the bucket of an address is full again, on the clock of `performance.now()`. */
  readonly #fullAt = new Map<string, number>()
  #sweepAt = 0
  readonly #warn: (sentence: string) => void
  #isWarned = false

  /**
   * @param peerOf returns the peer address of a request's connection
   * @param warn called once, when a limit does nothing because a request has no address
   * @param take takes from a bucket that all processes of a hub share (`HubInside.take`); resolves with undefined if they share none
   */
  constructor(
    limits: ClientLimits,
    peerOf: (c: Context) => string | undefined,
    take: Take = async () => undefined,
    warn: (sentence: string) => void = () => {},
  ) {
    this.#limits = limits
    this.#warn = warn
    this.#peerOf = peerOf
    this.#sharedTake = take
    this.#trusted = parseTrusted(limits.trustedProxies ?? [])
  }

  /** Returns the address of a request's client. */
  addressOf(c: Context): string | undefined {
    return clientOf(this.#peerOf(c), c.req.header('x-forwarded-for'), this.#trusted)
  }

  /** Returns the address of a request's client, for which something is limited. */
  addressToLimit(c: Context): string | undefined {
    const address = this.addressOf(c)
    if (address === undefined && !this.#isWarned) {
      this.#isWarned = true
      this.#warn(NO_ADDRESS)
    }
    return address
  }

  /** Whether a request came through a trusted proxy. */
  isFromProxy(c: Context): boolean {
    return isTrustedPeer(this.#peerOf(c), this.#trusted)
  }

  /**
   * Counts a stream for the address of a request's client.
   *
   * @returns a function that removes it from the count, and may be called twice
   * @throws AppError `too_many_readers`
   */
  countStream(c: Context): () => void {
    const { maxReadersPerAddress } = this.#limits
    const address = maxReadersPerAddress === undefined ? undefined : this.addressToLimit(c)
    if (address === undefined || maxReadersPerAddress === undefined) return nothing
    return this.#readers.add(address, maxReadersPerAddress, 'from your address')
  }

  /**
   * Takes messages out of the bucket of a client's address. A bucket that holds at least one message gives any number, and then fills up
   * from below zero: so a batch may be larger than the bucket.
   *
   * @throws AppError `rate_limited`
   */
  spend(c: Context, messages: number): void | Promise<void> {
    const address = this.#limitedAddressOf(c)
    if (address !== undefined) return this.#spend(address, messages)
  }

  async #spend(address: string, messages: number): Promise<void> {
    const waitMs = await this.#tryTake(address, messages)
    if (waitMs > 0)
      throw new AppError(
        'rate_limited',
        `Cannot do this now: one address may publish, delete and list at most ${this.#limits.publishRate} times a second`,
        { retryAfterS: Math.ceil(waitMs / 1000) },
      )
  }

  /**
   * Like `spend`, but waits until the bucket holds a message. For a body that is published while it arrives. The bodies of one address
   * queue up, and only the first asks the bucket: hundreds that ask would keep the hub or its Redis busy.
   *
   * @throws the reason of the signal, if it aborts while waiting
   */
  async pace(c: Context, messages: number, signal?: AbortSignal): Promise<void> {
    const address = this.#limitedAddressOf(c)
    if (address === undefined) return
    const leave = await this.#queues.enter(address, signal)
    try {
      const take = () => this.#tryTake(address, messages)
      for (let waitMs = await take(); waitMs > 0; waitMs = await take()) await sleep(Math.ceil(waitMs), signal)
    } finally {
      leave()
    }
  }

  /** Takes messages and returns 0; or takes none, and returns the time in ms until the bucket holds a message. */
  async #tryTake(address: string, messages: number): Promise<number> {
    const publishRate = this.#limits.publishRate!
    const shared = await this.#sharedTake(address, messages, publishRate)
    if (shared !== undefined) return shared
    const waitMs = this.#waitMs(address, publishRate)
    if (waitMs === 0) this.#take(address, messages, publishRate)
    return waitMs
  }

  /** Returns the client's address if messages are limited. */
  #limitedAddressOf(c: Context): string | undefined {
    return this.#limits.publishRate === undefined ? undefined : this.addressToLimit(c)
  }

  /** Returns the time in ms until the bucket of this process holds a message. */
  #waitMs(address: string, publishRate: number): number {
    const now = performance.now()
    const held = (1000 - Math.max(0, (this.#fullAt.get(address) ?? now) - now)) * publishRate
    return held > 999 ? 0 : (1000 - held) / publishRate // a message is 1000; 999 allows for rounding errors
  }

  #take(address: string, messages: number, publishRate: number): void {
    const now = performance.now()
    if (this.#fullAt.size >= MAX_BUCKETS && now >= this.#sweepAt) {
      this.#sweepAt = now + 1000
      for (const [other, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(other)
    }
    this.#fullAt.set(address, Math.max(now, this.#fullAt.get(address) ?? now) + (messages * 1000) / publishRate)
  }
}

function nothing(): void {}
