import type { ClockStep } from './clock.ts'
import type { Entry } from './log.ts'

/** What a ledger knows of the whole log. */
export interface State {
  readonly epoch: string
  head: number
  /** `time` of the head. */
  time: number
  /** Where the clock was set back. */
  steps: readonly ClockStep[]
  /** Entries kept, and their bytes. */
  count: number
  bytes: number
  /** Idempotency keys kept. */
  keys: number
  /** Topics without a kept entry, not closed: what is left of them is the seq trimmed last. */
  emptied: number
  /** The highest last-trimmed seq that was forgotten: below it a gap is not exact. */
  floor: number
  /** Commits so far: each changes this, because SQLite writes nothing when nothing changes, and then a full disk does not show. */
  commits: number
}

/** What a ledger knows of one topic; 0 stands for never. */
export interface TopicRow {
  count: number
  bytes: number
  /** The last seq that retention trimmed. */
  trimmed: number
  /** The seq that closed it. */
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

/** The synchronous storage under a ledger. It decides nothing; it keeps, finds and forgets. */
export interface Tables {
  /**
   * Runs all of `run` or, when it or the commit throws, nothing of it, durably.
   *
   * @throws AppError `log_unavailable` (somebody else has locked the storage), `log_unusable`: nothing was done
   */
  transaction(run: () => void): void
  /** @throws AppError `log_unusable` if what is written here can no longer be found by who opens the log anew */
  verify?(): void
  /** Notes the head before it is acknowledged, where that tells an older copy of the storage from this one. */
  acknowledge?(head: number): void
  /** What an operator should mend, a sentence each. */
  warnings?(): readonly string[]
  /** Where a commit is not durable when `transaction` returns: resolves when it is. */
  flush?(): Promise<void>

  state(): State
  setState(state: State): void

  topic(name: string): TopicRow | undefined
  setTopic(name: string, row: TopicRow): void
  /** Topics trimmed after a seq, found `page` at a time as they are asked for; the tables may change meanwhile. */
  trimmedAfter(seq: number, page: number): Iterable<{ readonly topic: string; readonly trimmed: number }>
  /** Whether `trimmedAfter` gives the last trimmed first. */
  readonly newestTrimmedFirst: boolean
  /** Topics with kept entries or closed, by name, after one and with a prefix. */
  topics(prefix: string, after: string, limit: number): readonly (TopicRow & { readonly topic: string })[]
  /** Forgets so many emptied topics, the first trimmed first; returns the highest last-trimmed seq among them. */
  forgetEmptied(count: number): number

  insert(entry: Entry, bytes: number): void
  remove(row: EntryRow): void
  /** Leaves of an entry that closes its topic the close alone. */
  blank(row: EntryRow): void
  /** Leaves nothing of what was removed in the storage, as far as that can be helped. */
  scrub?(): void
  entry(seq: number): Entry | undefined
  /** Those that there are, by seq. */
  entries(seqs: readonly number[]): readonly Entry[]
  /** Entries after a seq, oldest first. `to`: how far it looked, infinity when there is nothing after them. */
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
