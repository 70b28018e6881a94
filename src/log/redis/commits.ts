import { AppError } from '../../errors.ts'
import { isOwn } from '../../topic.ts'
import { type Batch, GroupCommit } from '../group.ts'
import type { Entry, LogOptions, Message, Receipt } from '../log.ts'
import { appendedOf, encodeBatches, type Outcome, partsOf, settle } from './batches.ts'
import type { Commands } from './commands.ts'
import type { Delivery } from './delivery.ts'
import { unknownOutcomeError } from './errors.ts'
import type { Identity } from './identity.ts'
import { commit } from './lua/commit.ts'
import type { Announced } from './run-changes.ts'

/** A commit that trims looks at `TRIM_STEP` entries plus twice those that it appends; a step of a sweep looks at `SWEEP_STEP` entries. */
const TRIM_STEP = 64
const SWEEP_STEP = 1000

/** Appends in group commits, which also trim entries that exceed the retention. All other changes to the log run between commits. */
export class Commits {
  readonly #identity: Identity
  readonly #commands: Commands
  readonly #delivery: Delivery
  readonly #runsChanged: (announced: Announced) => void
  readonly #closing: AbortSignal
  /** The argument `options` of `commit`. */
  readonly #options: string
  readonly #group: GroupCommit
  /** The oldest seq that trimming looks at. Each kept entry before it is the newest of a `$` topic, which is never trimmed. */
  #trimFrom = 0
  #lastCommitAt = Number.NEGATIVE_INFINITY

  /**
   * @param runsChanged called with the runs that commits have ended
   * @param closing aborted when the log begins to close; sweeps then stop
   */
  constructor(
    identity: Identity,
    commands: Commands,
    delivery: Delivery,
    runsChanged: (announced: Announced) => void,
    closing: AbortSignal,
    { retention, keyAgeMs, keyCount, trimmedCount, closedAgeMs, closedCount, maxPendingBytes }: LogOptions,
  ) {
    this.#identity = identity
    this.#commands = commands
    this.#delivery = delivery
    this.#runsChanged = runsChanged
    this.#closing = closing
    this.#options = JSON.stringify({ retention, keyAgeMs, keyCount, trimmedCount, closedAgeMs, closedCount })
    this.#group = new GroupCommit((batches) => this.#commitAll(batches), maxPendingBytes)
  }

  /** When the last commit succeeded, by `performance.now()`. */
  get lastCommitAt(): number {
    return this.#lastCommitAt
  }

  append(messages: readonly Message[]): Promise<readonly Receipt[]> {
    return this.#group.append(messages)
  }

  /** Runs a task between two commits, and resolves with its result. */
  async between<T>(task: () => Promise<T>): Promise<T> {
    let result: T | undefined
    await this.#group.between(async () => {
      result = await task()
    })
    return result as T
  }

  /** Trims all entries that exceed the retention, in steps between which appends are committed. */
  async sweep(): Promise<void> {
    try {
      for (let isMore = true; isMore && !this.#closing.aborted; )
        await this.between(async () => {
          isMore = (await this.#run(this.#commands.query, [], SWEEP_STEP)).more
        })
    } catch {
      // The next append or sweep tries again.
    }
  }

  /** After a new entry of a `$` topic, makes trimming look at all entries again: the topic's entry before may be trimmed now. */
  noteDelivery(entries: readonly Entry[]): void {
    if (entries.some(({ topic }) => isOwn(topic))) this.#trimFrom = 0
  }

  /** Continues with another log. */
  restart(): void {
    this.#trimFrom = 0
  }

  /** Resolves when no append and no task is waiting. */
  idle(): Promise<void> {
    return this.#group.idle()
  }

  async #commitAll(batches: readonly Batch[]): Promise<void> {
    for (const part of partsOf(batches))
      await this.#commitPart(part).catch((error) => {
        const refusal = error instanceof AppError ? error : unknownOutcomeError(error)
        for (const batch of part) batch.refuse(refusal)
      })
  }

  async #commitPart(batches: readonly Batch[]): Promise<void> {
    await this.#identity.verification // so that the commit runs in the epoch that the next line reads
    const { epoch } = this.#identity
    const { more, outcomes } = await this.#run(this.#commands.change, batches, TRIM_STEP)
    this.#lastCommitAt = performance.now()
    if (epoch !== this.#identity.epoch) throw replacedMeanwhile()
    const appended = batches.flatMap((batch, i) => appendedOf(batch, outcomes[i]!))
    this.#delivery.accept(appended)
    await this.#delivery.untilDelivered(appended.at(-1)?.seq ?? 0)
    if (epoch !== this.#identity.epoch) throw replacedMeanwhile()
    for (const [i, batch] of batches.entries()) settle(batch, outcomes[i]!)
    if (more) void this.sweep()
  }

  /** Runs `commit`; without batches it only trims. */
  async #run(command: Commands['change'], batches: readonly Batch[], trimStep: number) {
    const args = [this.#options, encodeBatches(batches), trimStep, this.#delivery.deliveredTo, this.#trimFrom]
    const reply = (await command(commit, ...args)) as [number, Outcome[], number, Announced]
    const [more, outcomes, trimFrom, announced] = reply
    this.#trimFrom = trimFrom
    this.#runsChanged(announced)
    return { more: more > 0, outcomes }
  }
}

/** The log that replaced this one may or may not have the entries. */
function replacedMeanwhile(): AppError {
  return unknownOutcomeError(new Error('The log was replaced while it was appended to'))
}
