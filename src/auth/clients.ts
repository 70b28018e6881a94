import type { Context } from 'hono'
import { AppError } from '../errors.ts'
import { clientOf, isTrustedPeer, parseTrusted, type Trusted } from './address.ts'
import { Readers } from './readers.ts'

/** What one client may have of the hub at once; a missing bound is none. */
export interface ClientLimits {
  /** Open streams of one address. */
  readonly maxReadersPerAddress?: number
  /** Messages a second of one address: a bucket that holds so many, and fills in a second. */
  readonly publishRate?: number
  /** Addresses and CIDR ranges of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies?: readonly string[]
}

/** Addresses whose buckets are remembered before full ones are looked for. */
const MAX_BUCKETS = 10_000

type Take = (bucket: string, count: number, perSecond: number) => Promise<number | undefined>

/** Who is connected and how much each has said, by address. Where an adapter knows none, nobody is told apart and nothing bounded. */
export class Clients {
  readonly #limits: ClientLimits
  readonly #trusted: Trusted
  readonly #peerOf: (c: Context) => string | undefined
  readonly #sharedTake: Take
  readonly #readers = new Readers()
  /** By address, when its bucket is full again, in ms of `performance.now()`. */
  readonly #fullAt = new Map<string, number>()
  #sweepAt = 0

  /**
   * @param peerOf the address at the other end of a request's connection
   * @param take what several processes of one hub share their buckets by, if they do: `Hub.take`
   */
  constructor(limits: ClientLimits, peerOf: (c: Context) => string | undefined, take: Take = async () => undefined) {
    this.#limits = limits
    this.#peerOf = peerOf
    this.#sharedTake = take
    this.#trusted = parseTrusted(limits.trustedProxies ?? [])
  }

  /** Whom a request is from. */
  addressOf(c: Context): string | undefined {
    return clientOf(this.#peerOf(c), c.req.header('x-forwarded-for'), this.#trusted)
  }

  /** Whether a request came by a proxy whose headers are believed. */
  isFromProxy(c: Context): boolean {
    return isTrustedPeer(this.#peerOf(c), this.#trusted)
  }

  /** Counts a stream in, and out with what it returns, which may be called twice. @throws AppError `too_many_readers` */
  countStream(c: Context): () => void {
    const { maxReadersPerAddress } = this.#limits
    const address = maxReadersPerAddress === undefined ? undefined : this.addressOf(c)
    if (address === undefined || maxReadersPerAddress === undefined) return nothing
    return this.#readers.enter(address, maxReadersPerAddress, 'from your address')
  }

  /**
   * Takes so many messages out of an address's bucket. One that holds any gives them all, and then owes them: a batch is not told
   * to be smaller.
   *
   * @throws AppError `rate_limited`
   */
  spend(c: Context, messages: number): void | Promise<void> {
    const address = this.#payer(c)
    if (address !== undefined) return this.#spend(address, messages)
  }

  async #spend(address: string, messages: number): Promise<void> {
    const waitMs = await this.#pay(address, messages)
    if (waitMs > 0)
      throw new AppError(
        'rate_limited',
        `Cannot publish now: at most ${this.#limits.publishRate} messages a second come from one address`,
        { retryAfterS: Math.ceil(waitMs / 1000) },
      )
  }

  /** The same for who can wait: a stream that is being read. */
  async pace(c: Context, messages: number): Promise<void> {
    const address = this.#payer(c)
    for (let waitMs = await this.#pay(address, messages); waitMs > 0; waitMs = await this.#pay(address, messages))
      await new Promise((resolve) => setTimeout(resolve, Math.ceil(waitMs)))
  }

  /** How long to wait until a bucket holds a message; 0 if it did, and they are taken. */
  async #pay(address: string | undefined, messages: number): Promise<number> {
    const { publishRate } = this.#limits
    if (address === undefined || publishRate === undefined) return 0
    const shared = await this.#sharedTake(address, messages, publishRate)
    if (shared !== undefined) return shared
    const waitMs = this.#wait(address)
    if (waitMs === 0) this.#take(address, messages)
    return waitMs
  }

  /** Who pays for messages, if they cost anything. */
  #payer(c: Context): string | undefined {
    return this.#limits.publishRate === undefined ? undefined : this.addressOf(c)
  }

  /** How long until the bucket holds a message. */
  #wait(address: string | undefined): number {
    const { publishRate } = this.#limits
    if (address === undefined || publishRate === undefined) return 0
    const now = performance.now()
    const held = (1000 - Math.max(0, (this.#fullAt.get(address) ?? now) - now)) * publishRate
    return held > 999 ? 0 : (1000 - held) / publishRate // a message is 1000; what rounding may cost is let go
  }

  #take(address: string | undefined, messages: number): void {
    const { publishRate } = this.#limits
    if (address === undefined || publishRate === undefined) return
    const now = performance.now()
    if (this.#fullAt.size >= MAX_BUCKETS && now >= this.#sweepAt) {
      this.#sweepAt = now + 1000
      for (const [other, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(other)
    }
    this.#fullAt.set(address, Math.max(now, this.#fullAt.get(address) ?? now) + (messages * 1000) / publishRate)
  }
}

function nothing(): void {}
