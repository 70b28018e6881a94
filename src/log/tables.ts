import type { ClockStep } from './clock.ts'
import type { Entry } from './log.ts'
import type { TimeMark } from './rules.ts'
import type { OutcomeName } from './runs.ts'

/** The state of a whole log. */
export interface State {
  readonly epoch: string
  head: number
  /** Time of the newest entry. */
  time: number
  /** The times at which the clock was set back. */
  steps: readonly ClockStep[]
  /** How many entries are kept, and their bytes. */
  count: number
  bytes: number
  /** How many idempotency keys are kept. */
  keys: number
  /** How many topics have no kept entries and are not closed: only their last trimmed seq is left. */
  emptied: number
  /** How many closed topics have no kept entries. */
  closedTopics: number
  /** The heads at past times, which tell the age of a close. */
  marks: readonly TimeMark[]
  /** Up to this seq, trims and closes of forgotten topics are unknown: gaps of readers below it are not exact. */
  floor: number
  /** How many commits there were. Counting makes each commit change a row: otherwise a check would write nothing and miss a full disk. */
  commits: number
}

/** The state of one topic. A seq of 0 stands for none. */
export interface TopicRow {
  count: number
  bytes: number
  /** The last seq that retention, or the erasing of the topic, removed. */
  trimmed: number
  /** Seq of the entry that closed the topic. */
  closed: number
}

export interface KeyRow {
  readonly topic: string
  readonly key: string
  readonly hash: string
  readonly seq: number
  readonly time: number
}

/** The run of a topic, from its first claim until the topic is deleted, or its close is forgotten. */
export interface RunRow {
  readonly topic: string
  /** Rises by 1 with each claim; 0 for a stop that was asked before the first claim. */
  readonly fence: number
  /** The token of the last claim, and its key. */
  readonly token: string
  readonly key?: string
  readonly leaseMs: number
  readonly graceMs: number
  /** When the lease ends at the latest, in ms since 1970, for storage that keeps leases; else 0. */
  readonly leaseEnd: number
  /** When a stop was asked, in ms since 1970; 0 for never. */
  readonly stop: number
  /** Missing while the run is active. */
  readonly outcome?: OutcomeName
  readonly detail?: string
}

export interface EntryRow {
  readonly seq: number
  readonly topic: string
  readonly time: number
  readonly bytes: number
}

/** The synchronous storage of a local log (`local.ts`). It makes no decisions: those are in `rules.ts`. */
export interface Tables {
  /**
   * Runs `run` and commits. If `run` or the commit throws, a database undoes everything. Durable on return, unless there is a `flush`.
   *
   * @throws AppError `log_unavailable` (another process has locked the storage), `log_unusable`: nothing was done
   */
  transaction(run: () => void): void
  /** @throws AppError `log_unusable` if the file was deleted or replaced, so that reopening the log would not find new entries */
  verify?(): void
  /** Records the head in the tip (`Tip`) before it is acknowledged. Missing for storage without a tip. */
  acknowledge?(head: number): void
  /** Warnings for the operator, as sentences. */
  warnings?(): readonly string[]
  /** Resolves when the last commit is durable. Missing where a commit is durable when `transaction` returns. */
  flush?(): Promise<void>

  state(): State
  setState(state: State): void

  topic(name: string): TopicRow | undefined
  setTopic(name: string, row: TopicRow): void
  /** Topics whose last trimmed seq is after `seq`, fetched `page` rows at a time. The tables may change between two fetches. */
  trimmedAfter(seq: number, page: number): Iterable<{ readonly topic: string; readonly trimmed: number }>
  /** Whether `trimmedAfter` begins with the topic that was trimmed last. */
  readonly newestTrimmedFirst: boolean
  /** Topics that have kept entries or are closed, whose names begin with `prefix` and come after `after`, in the order of their names. */
  topics(prefix: string, after: string, limit: number): readonly (TopicRow & { readonly topic: string })[]
  /** Forgets the `count` emptied topics with the lowest last trimmed seqs; returns the highest of these seqs. */
  forgetEmptied(count: number): number

  /** Closed topics without kept entries, in the order in which they were closed. */
  oldestClosed(limit: number): readonly (TopicRow & { readonly topic: string })[]
  /** Forgets a closed topic without kept entries. */
  forgetClosed(topic: string): void

  insert(entry: Entry, bytes: number): void
  remove(row: EntryRow): void
  /** Removes everything but the close and its outcome from an entry that closes its topic. */
  blank(row: EntryRow): void
  /** Removes all traces of removed entries from the storage, as far as it can. */
  scrub?(): void
  entry(seq: number): Entry | undefined
  /** The entries of these seqs that exist, in the order of their seq. */
  entries(seqs: readonly number[]): readonly Entry[]
  /** Entries after a seq, oldest first. `to`: the seq up to which `rows` is complete; infinity if no entries follow. */
  rows(after: number, limit: number): { readonly rows: readonly EntryRow[]; readonly to: number }
  topicRows(topic: string, after: number, limit: number): readonly EntryRow[]
  /** Entries before a seq, newest first. */
  rowsBefore(before: number, limit: number): readonly EntryRow[]
  topicRowsBefore(topic: string, before: number, limit: number): readonly EntryRow[]
  newest(topic: string): number | undefined

  key(topic: string, key: string): KeyRow | undefined
  setKey(row: KeyRow): void
  oldestKeys(limit: number): readonly KeyRow[]
  removeKey(row: KeyRow): void

  run(topic: string): RunRow | undefined
  setRun(row: RunRow): void
  removeRun(topic: string): void
  /** All active runs (`isActive`). */
  activeRuns(): Iterable<RunRow>
  /** Runs, active or not, whose topics begin with `prefix` and come after `after`, by topic. */
  runs(prefix: string, after: string, limit: number): readonly RunRow[]
  /** Stops that were asked before the first claim: how many there are, and the oldest of them first. */
  stopCount(): number
  oldestStops(limit: number): readonly RunRow[]

  close(): void
}
