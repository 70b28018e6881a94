/**
 * How a topic ended. A plain close is `done`; the others are outcomes of a run: its producer has failed, it was stopped because somebody
 * asked for that, or it has given no sign of life for too long and the log has closed its topic.
 *
 * @example
 * const isWhole = (outcome: OutcomeName) => outcome === 'done'
 */
export type OutcomeName = 'done' | 'failed' | 'stopped' | 'abandoned'

/**
 * How a topic ended, and for `failed` why: at most `MAX_DETAIL_BYTES` of UTF-8.
 *
 * @example
 * const outcome: Outcome = { outcome: 'failed', detail: 'The model does not answer' }
 */
export interface Outcome {
  readonly outcome: OutcomeName
  readonly detail?: string
}

export const MAX_DETAIL_BYTES = 1000

/** What a producer asks for when it claims a topic. */
export interface Claim {
  /** A random text that nobody else knows: whoever shows it is the producer. */
  readonly token: string
  /** For how long the producer may give no sign of life before another may take over, in ms. */
  readonly leaseMs: number
  /** For how long after the lease the log waits for a sign of life, or for another producer, before it closes the topic, in ms. */
  readonly graceMs: number
  /** A claim with the key of the present one takes over at once: it comes from the same producer. */
  readonly key?: string
}

/** A run: a topic with a producer, one at a time. */
export interface RunState {
  readonly topic: string
  /** Rises by 1 with each claim of the topic. */
  readonly fence: number
  readonly leaseMs: number
  readonly graceMs: number
  /** When the lease ends, or has ended, in ms since 1970. Missing once the run has ended. */
  readonly leaseEnd?: number
  /** Whether somebody has asked the producer to stop. */
  readonly isStopAsked: boolean
  /** Missing until the run has ended. */
  readonly outcome?: OutcomeName
  readonly detail?: string
}

/** A page of the runs whose topics begin with `prefix` and come after `after`, by topic. */
export interface RunQuery {
  readonly prefix: string
  readonly after: string
  readonly limit: number
}

/**
 * The runs of a log. A topic is in a run from its first claim until it is closed or deleted. `test/log/runs.suite.ts` tests every sentence
 * for every driver:
 *
 * - R1. While a run lasts, only its producer appends to the topic: messages with the token of the last claim. Known keys are answered as
 *   duplicates before the token is looked at.
 * - R2. Once another producer has claimed the topic, nothing is appended under the token of an earlier claim.
 * - R3. Every run ends, with one entry that closes the topic: if its producer gives no sign of life for `leaseMs + graceMs`, the log
 *   closes the topic as `abandoned`, within a second. Signs of life are claims, appends and renewals. An outage of the log adds its time,
 *   and opening the log again starts the lease and the time after it anew.
 * - R4. A stop that was asked for is in the state that each claim and renewal returns, until the run has ended. A stop asked before the
 *   first claim is told to it.
 * - R5. An outcome lasts as long as the close of its topic.
 */
export interface RunLog {
  /**
   * Claims a topic for a producer: for the first time, after the lease of the last producer has ended, or with the key of the last claim.
   * Changes no entry.
   *
   * @throws AppError `run_taken` (another producer has a lease; the error tells its end), `topic_closed`, `too_many_runs`: nothing was
   *   changed
   * @throws AppError `log_unavailable`, `log_unusable`, `outcome_unknown`
   */
  claim(topic: string, claim: Claim): Promise<RunState>

  /**
   * Renews the lease, which costs no entry and no sync.
   *
   * @throws AppError `run_lost`: the token is not that of the present claim, or the run has ended
   */
  renew(topic: string, token: string): Promise<RunState>

  /**
   * Asks the producer to stop; with a fence, only if the present claim has it. If nobody has claimed the topic yet, the first claim is told
   * of a stop without a fence, unless the topic is deleted before. `LogOptions` says how long such a stop is kept, and how many of them.
   *
   * @returns the run; undefined if nobody has claimed the topic
   * @throws AppError `topic_closed`: the topic was closed without a run
   */
  stop(topic: string, fence?: number): Promise<RunState | undefined>

  /** The runs of these topics, in their order; undefined for a topic that nobody has claimed. */
  get(topics: readonly string[]): Promise<readonly (RunState | undefined)[]>

  list(query: RunQuery): Promise<readonly RunState[]>

  /** Calls `changed` with the topic of each run that is claimed, asked to stop, ended or deleted, by any process. */
  watch(changed: (topic: string) => void): void
}
