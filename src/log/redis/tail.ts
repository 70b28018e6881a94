import type { RedisClient } from './client.ts'
import type { Delivery } from './delivery.ts'
import type { Identity, OpenedLog } from './identity.ts'
import { pause, RETRY_MS } from './pause.ts'
import type { RedisPeers } from './peers.ts'
import { entryOfElement, erasureOfElement, type StreamElement, tagOfElement } from './rows.ts'
import type { RunChanges } from './run-changes.ts'

/** How long one XREAD blocks, in ms. XREAD does not return when the log is emptied, so the tail also probes the log regularly. */
const BLOCK_MS = 1000
/** Least time between two probes, in ms. */
const PROBE_MS = BLOCK_MS / 2
/** Most elements of each stream in one reply. */
const COUNT = '256'
/** How often the tail looks whether the log is verified, in ms. */
const VERIFICATION_POLL_MS = 20
/** The greatest second part that a stream id can have. */
const MAX_TAG = '18446744073709551615'

interface Parts {
  readonly client: RedisClient
  readonly identity: Identity
  readonly delivery: Delivery
  readonly peers: RedisPeers
  readonly runChanges: RunChanges
  /** Verifies the log again if it was replaced or damaged. */
  readonly probe: () => Promise<void>
}

/** Reads the server's streams for as long as the log is open: the entries, erasures, changes of runs, questions and answers of all nodes. */
export class Tail {
  readonly #parts: Parts
  readonly #streams: { readonly log: string; readonly erased: string; readonly wire: string }
  readonly #closing: AbortSignal
  #erasedId = '0-0'
  #wireId = '0-0'
  #error: unknown

  /** @param closing aborted when the log begins to close */
  constructor(base: string, closing: AbortSignal, parts: Parts) {
    this.#parts = parts
    this.#closing = closing
    this.#streams = { log: `${base}:log`, erased: `${base}:erased`, wire: `${base}:wire` }
  }

  /** The error of the last attempt to read; undefined if the attempt succeeded. */
  get error(): unknown {
    return this.#error
  }

  /** Continues after the last elements of another log. */
  restart({ lastErasedId, lastWireId }: OpenedLog): void {
    this.#erasedId = lastErasedId
    this.#wireId = lastWireId
  }

  /** Reads until the log closes. */
  async run(): Promise<void> {
    const { client, identity, probe } = this.#parts
    let probedAt = performance.now()
    while (!this.#closing.aborted) {
      // An unverified server may hold another log, whose entries must not be delivered as entries of this log.
      if (!identity.isVerified || !client.isConnected) {
        await pause(VERIFICATION_POLL_MS)
        continue
      }
      try {
        const { epoch, tag } = identity
        const reply = await this.#wait()
        if (epoch !== identity.epoch || this.#closing.aborted) continue
        await this.#receive(reply, tag)
        if (performance.now() - probedAt > PROBE_MS) {
          probedAt = performance.now()
          await probe().catch(() => {}) // `Health.check` reports failures
        }
        this.#error = undefined
      } catch (error) {
        this.#error = error
        if (!this.#closing.aborted) await pause(RETRY_MS)
      }
    }
  }

  async #wait(): Promise<ReadonlyMap<string, readonly StreamElement[]>> {
    const { log, erased, wire } = this.#streams
    const after = [`${this.#parts.delivery.deliveredTo}-${MAX_TAG}`, this.#erasedId, this.#wireId]
    const command = ['XREAD', 'COUNT', COUNT, 'BLOCK', `${BLOCK_MS}`, 'STREAMS', log, erased, wire, ...after]
    return new Map(((await this.#parts.client.wait(command)) ?? []) as [string, StreamElement[]][])
  }

  async #receive(reply: ReadonlyMap<string, readonly StreamElement[]>, tag: number): Promise<void> {
    const { identity, delivery, peers, runChanges } = this.#parts
    const [entries = [], erased = [], wire = []] = Object.values(this.#streams).map((stream) => reply.get(stream))
    this.#wireId = wire.at(-1)?.[0] ?? this.#wireId
    peers.receive(wire)
    runChanges.receive(wire)
    // Entries with another tag belong to a log that has replaced this log.
    if (entries.some((element) => tagOfElement(element) !== tag)) return identity.verify()
    this.#erasedId = erased.at(-1)?.[0] ?? this.#erasedId
    delivery.acceptTail(entries.map(entryOfElement), erased.map(erasureOfElement))
  }
}
