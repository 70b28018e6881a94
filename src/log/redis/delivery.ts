import { Followers } from '../followers.ts'
import type { Deliver, Entry, Erased, Restarted } from '../log.ts'
import type { OpenedLog } from './identity.ts'
import type { Erasure } from './rows.ts'

/** Most entries held back until earlier ones arrive. The tail reads the entries again that were not held back. */
const MAX_HELD = 10_000
/** Longest wait for delivery in ms. After it, an entry that is durable is acknowledged although earlier entries have not arrived here. */
const CATCH_UP_MS = 1000

/**
 * Delivers entries and erasures to the followers of this node, in order and once. Entries that this node appends arrive twice: from the
 * commit and from the tail.
 */
export class Delivery {
  readonly #followers = new Followers()
  readonly #beforeDelivery: (entries: readonly Entry[]) => void
  /** Entries held back until earlier ones arrive, by seq. */
  readonly #held = new Map<number, Entry>()
  readonly #waiters = new Set<Waiter>()
  #deliveredTo = 0
  #erasureCount = 0

  /** @param beforeDelivery called with the entries that the followers get next */
  constructor(beforeDelivery: (entries: readonly Entry[]) => void) {
    this.#beforeDelivery = beforeDelivery
  }

  /** Seq of the newest delivered entry. */
  get deliveredTo(): number {
    return this.#deliveredTo
  }

  /** Adds a follower. Resolves with the seq after which it gets entries. */
  follow(deliver: Deliver, erased: Erased, restarted: Restarted): Promise<number> {
    return this.#followers.add(deliver, erased, this.#deliveredTo, restarted)
  }

  /** Accepts entries that a commit of this node appended. Each entry is delivered once all earlier entries have been delivered. */
  accept(entries: readonly Entry[]): void {
    for (const entry of entries)
      if (entry.seq > this.#deliveredTo && this.#held.size < MAX_HELD) this.#held.set(entry.seq, entry)
    this.#deliverHeld()
  }

  /**
   * Accepts one reply that the tail read. The server made the erasures before it listed the entries, so the erasures are delivered
   * first: entries that were published to a topic after its deletion arrive after the deletion.
   */
  acceptTail(entries: readonly Entry[], erasures: readonly Erasure[]): void {
    if (erasures.length > 0) this.#held.clear() // some of these entries may be erased; the tail reads the others again
    for (const erasure of erasures) this.#deliverErasure(erasure)
    const fresh = entries.filter(({ seq }) => seq > this.#deliveredTo)
    const hasHole = fresh.some(({ seq }, i) => seq !== this.#deliveredTo + 1 + i)
    if (hasHole) {
      // The missing entries were trimmed or erased before they arrived here. Followers see the hole in the seqs and read the log.
      this.#deliver(fresh)
      for (const seq of this.#held.keys()) if (seq <= this.#deliveredTo) this.#held.delete(seq)
      this.#deliverHeld()
    } else this.accept(fresh)
    if (erasures.length > 0) this.#wake()
  }

  /** Resolves when the entry with this seq has been delivered, when the log was replaced, or after `CATCH_UP_MS`. */
  untilDelivered(seq: number): Promise<void> {
    return this.#until(() => this.#deliveredTo >= seq)
  }

  /** Resolves when this number of erasures has been delivered, when the log was replaced, or after `CATCH_UP_MS`. */
  untilErased(count: number): Promise<void> {
    return this.#until(() => this.#erasureCount >= count)
  }

  /** Continues after the head of another log. */
  restart({ head, erasureCount }: OpenedLog): void {
    this.#deliveredTo = head
    this.#erasureCount = erasureCount
    this.#held.clear()
    for (const { resolve } of this.#waiters) resolve()
    this.#followers.reportRestarted(head)
  }

  close(): void {
    this.#followers.clear()
  }

  #deliverHeld(): void {
    const next: Entry[] = []
    for (let seq = this.#deliveredTo + 1, entry = this.#held.get(seq); entry; entry = this.#held.get(++seq)) {
      this.#held.delete(seq)
      next.push(entry)
    }
    this.#deliver(next)
  }

  #deliver(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    this.#deliveredTo = entries.at(-1)!.seq
    this.#beforeDelivery(entries)
    this.#followers.deliver(entries)
    this.#wake()
  }

  #deliverErasure({ number, topic, seq, upTo }: Erasure): void {
    const isNext = number === this.#erasureCount + 1
    this.#erasureCount = number
    if (isNext) this.#followers.reportErased(topic, seq, upTo)
    else this.#followers.reportRestarted(this.#deliveredTo) // `:erased` no longer holds the erasures in between
  }

  #wake(): void {
    for (const { holds, resolve } of this.#waiters) if (holds()) resolve()
  }

  async #until(holds: () => boolean): Promise<void> {
    if (holds()) return
    await new Promise<void>((done) => {
      const resolve = () => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
        done()
      }
      const timer = setTimeout(resolve, CATCH_UP_MS)
      const waiter: Waiter = { holds, resolve }
      this.#waiters.add(waiter)
    })
  }
}

interface Waiter {
  holds(): boolean
  resolve(): void
}
