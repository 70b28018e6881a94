import { AppError } from '../errors.ts'
import { afterTurn } from '../turn.ts'
import type { Message, Receipt } from './log.ts'

/** The messages of one call of `append`, which wait for their commit. */
export interface Batch {
  readonly messages: readonly Message[]
  /** SHA-256 of each keyed message's payload, at the message's index. Missing if no message has a key. */
  readonly hashes?: readonly (string | undefined)[]
  accept(receipts: readonly Receipt[]): void
  refuse(error: Error): void
}

type Waiting = Omit<Batch, 'hashes'>

/** Most appends, of any size, that may wait for a commit. */
const MAX_WAITING = 10_000

/**
 * Group commit: commits all appends of one turn, and those that came during the commit before, together.
 * An fsync costs the same for one entry as for a hundred, so grouping is worth more than any tuning below it
 * (measured on SQLite with synchronous=FULL: 6.5 k entries/s alone, 295 k in groups of 128).
 * Every other change of the log runs here too, so that nothing runs beside a commit.
 */
export class GroupCommit {
  readonly #commit: (group: readonly Batch[]) => void | Promise<void>
  readonly #maxPendingBytes: number
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #tasks: (() => Promise<void>)[] = []
  #isRunning = false
  /** Callers of `idle`. */
  #idle: (() => void)[] = []

  /**
   * @param commit must settle every batch of the group, and must not throw
   * @param maxPendingBytes most bytes of data that wait for a commit; further appends are refused
   */
  constructor(commit: (group: readonly Batch[]) => void | Promise<void>, maxPendingBytes: number) {
    this.#commit = commit
    this.#maxPendingBytes = maxPendingBytes
  }

  /** @throws AppError `overloaded`, and the errors of the commit */
  append(messages: readonly Message[]): Promise<readonly Receipt[]> {
    let bytes = 0
    for (const { data } of messages) bytes += data?.length ?? 0 // about their memory; unlike UTF-8 bytes, the length need not be counted
    const isFull = this.#waiting.length > 0 && this.#waitingBytes + bytes > this.#maxPendingBytes
    if (isFull || this.#waiting.length >= MAX_WAITING)
      return Promise.reject(
        new AppError('overloaded', 'Cannot append now: too many messages wait for the log; try again in a moment', {
          retryAfterS: 1,
        }),
      )
    this.#waitingBytes += bytes
    return new Promise((accept, refuse) => {
      this.#waiting.push({ messages, accept, refuse })
      this.#start()
    })
  }

  /** Runs a task between two commits. */
  between(task: () => void | Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#tasks.push(async () => {
        try {
          resolve(await task())
        } catch (cause) {
          reject(cause)
        }
      })
      this.#start()
    })
  }

  /** Resolves when nothing is waiting. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isRunning) this.#idle.push(resolve)
      else resolve()
    })
  }

  #start(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    afterTurn(this.#turn) // so all appends of this turn form one group, and other work runs between groups
  }

  /** Uses no promise unless it must: most groups are small, and a commit in memory has nothing to wait for. */
  readonly #turn = (): void => {
    const tasks = this.#tasks.splice(0)
    const turn = tasks.length > 0 ? runAll(tasks).then(() => this.#commitWaiting()) : this.#commitWaiting()
    if (turn) void turn.finally(this.#ended)
    else this.#ended()
  }

  readonly #ended = (): void => {
    if (this.#waiting.length > 0 || this.#tasks.length > 0) {
      afterTurn(this.#turn)
      return
    }
    this.#isRunning = false
    for (const tell of this.#idle.splice(0)) tell()
  }

  #commitWaiting(): void | Promise<void> {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    this.#waitingBytes = 0
    const isKeyed = waiting.some(({ messages }) => messages.some(({ key }) => key !== undefined))
    if (isKeyed) return Promise.all(waiting.map(withHashes)).then(this.#commit)
    return this.#commit(waiting)
  }
}

async function runAll(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  for (const task of tasks) await task()
}

async function withHashes(waiting: Waiting): Promise<Batch> {
  const hashes = await Promise.all(waiting.messages.map((m) => (m.key === undefined ? undefined : hashOf(m))))
  return { ...waiting, hashes }
}

/** Uses WebCrypto, the only SHA-256 that every runtime has. WebCrypto is asynchronous, so hashes are made before the commit. */
async function hashOf({ data, event, retry, close, outcome, detail }: Message): Promise<string> {
  const fields = [data ?? null, event ?? null, retry ?? null, close ?? false]
  const payload = JSON.stringify(outcome === undefined ? fields : [...fields, outcome, detail ?? null])
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(payload))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
