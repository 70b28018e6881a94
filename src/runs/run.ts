import type { Delivered } from '../hub/delivered.ts'
import type { Published } from '../hub/internal.ts'
import type { Message } from '../log/log.ts'
import type { RunState } from '../log/runs.ts'

/**
 * The runs of a hub: topics with a producer, one at a time, which always end. `runs(hub)` are those of a hub in this process, and
 * `remoteRuns` those of a hub elsewhere. Every method refuses what is no topic (`topic_invalid`, `topic_too_long`).
 *
 * @example
 * const all: Runs = runs(hub)
 * const run = await all.claim('ai/answer-1', { leaseMs: 15_000 })
 * await run.publish({ data: 'Hello' })
 * await run.end()
 */
export interface Runs {
  /**
   * Claims a topic. The producer renews its lease until the run has ended or is released.
   *
   * @throws AppError `run_taken` (another producer has a lease), `topic_closed`, `parameter_invalid`, and those of the log
   */
  claim(topic: string, options?: ClaimOptions): Promise<Run>
  /**
   * Asks the producer of a topic to stop; with a fence, only if the present claim has it. A stop without a fence before the first claim is
   * told to that claim.
   *
   * @returns the run; undefined if nobody has claimed the topic yet
   * @throws AppError `topic_closed`: the topic was closed without a run
   */
  stop(topic: string, fence?: number): Promise<RunInfo | undefined>
  /** The run of a topic; undefined if nobody has claimed it. */
  state(topic: string): Promise<RunInfo | undefined>
  /**
   * The entries of a topic, from the oldest kept one or after an id, and the gaps between them. Ends once the topic is closed; the last
   * item then has `close`, and says how the topic ended.
   */
  entries(topic: string, options?: RunEntriesOptions): AsyncIterable<Delivered>
  /** Deletes a topic: ends its run, and forgets its entries and its outcome. Deleting a topic that does not exist changes nothing. */
  delete(topic: string): Promise<void>
}

/**
 * What everybody may know of a run.
 *
 * @example
 * const isOver = (info: RunInfo) => info.outcome !== undefined
 */
export interface RunInfo extends RunState {
  /** Position of the newest entry of the topic. */
  readonly lastId: string | null
}

/**
 * Where an iteration begins, and what ends it.
 *
 * @example
 * const options: RunEntriesOptions = { after: 'abcdefghij-7', signal: AbortSignal.timeout(1000) }
 */
export interface RunEntriesOptions {
  /** Begins after this id; with the oldest kept entry if left out. */
  readonly after?: string
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal
}

/**
 * What a producer asks for.
 *
 * @example
 * const options: ClaimOptions = { leaseMs: 30_000, graceMs: 0, key: 'answer-1' }
 */
export interface ClaimOptions {
  /** For how long the producer may give no sign of life: 100…3,600,000 ms; 15 s by default. */
  readonly leaseMs?: number
  /** For how long after the lease another producer may take over before the hub ends the run: 0…3,600,000 ms; one lease by default. */
  readonly graceMs?: number
  /** Names the producer: a claim with the same key takes over at once. */
  readonly key?: string
  /** Releases the run when it aborts. */
  readonly signal?: AbortSignal
}

/**
 * A message of a producer: its topic is that of the run.
 *
 * @example
 * const message: RunMessage = { data: 'Hello', event: 'token' }
 */
export type RunMessage = Omit<Message, 'topic' | 'run' | 'close' | 'outcome' | 'detail'> & { readonly data: string }

/**
 * How a producer ends its run, and a last message if there is one.
 *
 * @example
 * const ending: Ending = { outcome: 'failed', detail: 'The model does not answer' }
 */
export interface Ending extends Omit<Message, 'topic' | 'run' | 'close' | 'outcome'> {
  /** `done` by default. */
  readonly outcome?: 'done' | 'failed' | 'stopped'
}

/**
 * The claim of a producer.
 *
 * @example
 * const run: Run = await runs(hub).claim('jobs/7')
 * await run.publish([{ data: '1' }, { data: '2' }])
 * await run.end({ outcome: 'failed', detail: 'no more' })
 */
export interface Run {
  readonly topic: string
  readonly fence: number
  /** Position of the newest entry of the topic when it was claimed: a producer that takes over goes on from here. */
  readonly lastId: string | null
  /**
   * Aborts when the producer has to end. The reason is an AppError: `run_stopped` (somebody has asked for that; the producer may publish
   * what is left, and has to end the run), `run_lost` (another producer has taken over, or the run has ended), or an error of the log, which
   * could not renew the lease in time.
   */
  readonly signal: AbortSignal
  /** Publishes under the claim. @throws AppError `run_lost`, and those of `Hub.publish`, after which the claim is still held and renewed */
  publish(message: RunMessage): Promise<Published>
  publish(messages: readonly RunMessage[]): Promise<readonly Published[]>
  /** Renews the lease now. @throws AppError `run_lost`, and those of the log */
  renew(): Promise<RunInfo>
  /** Ends the run, and closes its topic. @throws AppError `run_lost`, `topic_closed`, and those of `Hub.publish` */
  end(ending?: Ending): Promise<Published>
  /**
   * Stops renewing the lease: another producer may take over once it ends, or the hub ends the run as `abandoned`. A publish that fails
   * afterwards fails with `run_lost`.
   */
  release(): void
}
