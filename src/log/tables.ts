import type { ClockStep } from './clock.ts'
import type { Entry } from './log.ts'
import type { TimeMark } from './rules.ts'

/** The state of a whole log. */
export interface State {
  readonly epoch: string
  head: number
  /** `time` of the head. */
  time: number
  /** The times at which the clock was set back. */
  steps: readonly ClockStep[]
  /** Entries kept, and their bytes. */
  count: number
  bytes: number
  /** Idempotency keys kept. */
  keys: number
  /** Topics without kept entries that are not closed: only the seq trimmed last is left of them. */
  emptied: number
  /** Topics without kept entries that are closed. */
  closedTopics: number
  /** The head at times of the past, by which closed topics grow old. */
  marks: readonly TimeMark[]
  /** The highest last-trimmed seq of a forgotten topic: below it gaps are not exact. */
  floor: number
  /** Commits so far. Every commit changes a row, because SQLite otherwise writes nothing, and a check would not notice a full disk. */
  commits: number
}

/** The state of one topic. 0 stands for none. */
export interface TopicRow {
  count: number
  bytes: number
  /** The last seq that retention trimmed. */
  trimmed: number
  /** Seq of the entry that closed it. */
  closed: number
}

export interface KeyRow {
  readonly topic: string
  readonly key: string
  readonly hash: string
  readonly seq: number
  readonly time: number
}

export interface EntryRow {
  readonly seq: number
  readonly topic: string
  readonly time: number
  readonly bytes: number
}

/** The synchronous storage of a local log (`local.ts`). It decides nothing. */
export interface Tables {
  /**
   * Runs `run` and commits, or undoes everything if either throws. Durable on return, unless there is a `flush`.
   *
   * @throws AppError `log_unavailable` (another process has locked the storage), `log_unusable`: nothing was done
   */
  transaction(run: () => void): void
  /** @throws AppError `log_unusable` if what is written would not be found when the log is opened again */
  verify?(): void
  /** Records the head before it is acknowledged, where that tells an older copy of the storage from this one. */
  acknowledge?(head: number): void
  /** Warnings to the operator: sentences. */
  warnings?(): readonly string[]
  /** Resolves when the last commit is durable, where it is not when `transaction` returns. */
  flush?(): Promise<void>

  state(): State
  setState(state: State): void

  topic(name: string): TopicRow | undefined
  setTopic(name: string, row: TopicRow): void
  /** Topics whose last trimmed seq is after `seq`, `page` rows a fetch. The tables may change between two fetches. */
  trimmedAfter(seq: number, page: number): Iterable<{ readonly topic: string; readonly trimmed: number }>
  /** Whether `trimmedAfter` begins with the topic that was trimmed last. */
  readonly newestTrimmedFirst: boolean
  /** Topics with kept entries or closed, by name, after a name and with a prefix. */
  topics(prefix: string, after: string, limit: number): readonly (TopicRow & { readonly topic: string })[]
  /** Forgets so many emptied topics, those with the lowest last-trimmed seq first; returns the highest such seq. */
  forgetEmptied(count: number): number

  /** Closed topics without kept entries, in the order in which they were closed. */
  oldestClosed(limit: number): readonly (TopicRow & { readonly topic: string })[]
  /** Forgets one of them. */
  forgetClosed(topic: string): void

  insert(entry: Entry, bytes: number): void
  remove(row: EntryRow): void
  /** Removes the data of an entry that closes its topic; the close stays. */
  blank(row: EntryRow): void
  /** Removes all traces of removed entries from the storage, as far as it can. */
  scrub?(): void
  entry(seq: number): Entry | undefined
  /** The entries of these seqs that exist, in the order of their seq. */
  entries(seqs: readonly number[]): readonly Entry[]
  /** Entries after a seq, oldest first. `to`: the seq up to which these are all; infinity if they are the last. */
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

  close(): void
}
