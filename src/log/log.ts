import type { Filter } from '../topic.ts'
import type { Outcome, OutcomeName, RunLog } from './runs.ts'

/**
 * What an acknowledged append survives, weakest first:
 *
 * - `memory`: nothing; the entries end with the process
 * - `process`: kill -9
 * - `disk`: a power cut
 * - `quorum`: the loss of any minority of processes
 *
 * @example
 * const durability: Durability = await hub.durability()
 * if (durability === 'memory') console.warn('Events end with the process')
 */
export type Durability = 'memory' | 'process' | 'disk' | 'quorum'

/**
 * A message to append. `hub/message.ts` has checked the message; a log does not check it again.
 *
 * @example
 * const message: Message = { topic: 'chat/1', data: 'hello', event: 'said', key: 'm-1' }
 * await hub.publish(message)
 */
export interface Message {
  readonly topic: string
  /** Well-formed text. Only a message that closes its topic may have none. */
  readonly data?: string
  /** SSE event name; missing for the default, `message`. */
  readonly event?: string
  /** SSE reconnection time for readers of this message, 500…3,600,000 ms. */
  readonly retry?: number
  /** Idempotency key, scoped by topic. The key is not part of the payload and is not delivered. */
  readonly key?: string
  /** Closes the topic: nothing can be published to a closed topic until it is deleted. */
  readonly close?: true
  /** How the run of the topic ended, for `close` under the token of a run; missing for `done`. */
  readonly outcome?: Exclude<OutcomeName, 'done'>
  /** Why the run has failed. */
  readonly detail?: string
  /** The token of the claim under which a producer publishes. The token is not part of the payload and is not delivered. */
  readonly run?: string
}

/**
 * A message with its place in the log. `seq` rises by exactly 1. `time` (ms since 1970) is lower than that of the entry before only where
 * the clock was set back by more than 10 s.
 *
 * @example
 * const { entries } = await log.read(0, { count: 10, bytes: 65_536 }, Filter.parse(['news/*']))
 * const line = ({ seq, time, topic, data }: Entry) => `${seq} ${new Date(time).toISOString()} ${topic} ${data}`
 * console.log(entries.map(line).join('\n'))
 */
export interface Entry extends Omit<Message, 'key' | 'run'> {
  readonly seq: number
  readonly time: number
}

/** The place of an appended message. `duplicate`: the topic knew the key, and this is the place of the first message with the key. */
export interface Receipt {
  readonly seq: number
  readonly time: number
  readonly duplicate: boolean
}

/** Most entries of one read, and most bytes of them, as `weigh` counts. A read returns at least one entry if any match. */
export interface ReadLimit {
  readonly count: number
  readonly bytes: number
  /** Returns only the newest entry of each topic. */
  readonly latest?: boolean
}

/**
 * Where to begin without a position: with the newest `last` entries, or with the entries since a time (ms since 1970).
 *
 * @example
 * const beginning: Beginning = { since: Date.now() - 60_000 }
 * const lastMinute = await Array.fromAsync(hub.entries('news/*', { from: beginning, until: 'now' }))
 */
export type Beginning = { readonly last: number } | { readonly since: number }

/** What a log knows of one topic. A seq of 0 stands for none. */
export interface TopicState {
  readonly topic: string
  /** Seq of the newest entry, kept or gone. */
  readonly last: number
  /** How many entries are kept. */
  readonly count: number
  /** Seq of the entry that closed the topic. */
  readonly closed: number
  /** How the topic ended. Missing while it is open, and for a plain close. */
  readonly outcome?: Outcome
}

/** Topics by name, or a page of all topics that have kept entries or are closed, in the order of their names. */
export type TopicQuery =
  | { readonly names: Iterable<string> }
  | { readonly prefix: string; readonly after: string; readonly limit: number }

/**
 * Reports that entries of the filter after the requested seq were trimmed, the last of them at `to`. With `exact: false` nobody knows
 * whether any were trimmed, because the record was forgotten; `to` is then the head.
 */
export interface Trimmed {
  readonly to: number
  readonly exact: boolean
}

export interface Page {
  /** All entries of the filter between `after` and `scannedTo`, oldest first, except those that `trimmed` reports. */
  readonly entries: readonly Entry[]
  /** The seq up to which the read has looked at everything: the head, unless a limit ended the read before. */
  readonly scannedTo: number
  readonly trimmed?: Trimmed
  /** Seq of the last entry that a `latest` read has found to be replaced by a newer one of its topic. It may be after `scannedTo`. */
  readonly conflated?: number
}

export type Deliver = (entries: readonly Entry[]) => void

/**
 * Called when delivered entries are erased: the topic's entry at `seq`, or, if `seq` is undefined, all entries of the topic up to and
 * including `upTo`. In the second case the topic is open again, unless it was closed after `upTo`.
 */
export type Erased = (topic: string, seq: number | undefined, upTo: number) => void

/**
 * Called when earlier deliveries are void: another log replaced this one (the epoch changed), or erasures were missed. Deliveries continue
 * after `head`.
 */
export type Restarted = (head: number) => void

/**
 * One ordered sequence of entries. Every sentence here is tested by `test/log/suite.ts`, which every driver passes.
 *
 * - `seq` rises by exactly 1: duplicates, refusals and failures take no seq.
 * - Appends of one turn of the event loop are committed and delivered together, in the order of the calls.
 * - A batch is appended whole or refused whole; a refused batch does not affect its neighbours.
 * - A `read` of named topics costs about what it returns, for a log of any length.
 * - The log remembers for each topic the last trimmed seq, so that a gap is exact.
 *
 * @example
 * const mine: Log = memoryLog()
 * const shared = new Hub(() => mine)
 */
export interface Log {
  /**
   * Names this incarnation of the log: `[a-z0-9]`, 10 characters. Positions of another epoch are not valid. When the server of a log
   * was emptied or replaced or has lost a key, the epoch changes and `restarted` is called.
   */
  readonly epoch: string
  readonly durability: Durability
  /** Sentences that tell the operator what to repair although the log works. */
  readonly warnings: readonly string[]
  /** The other processes that share the log. Missing for a log of one process. */
  readonly peers?: Peers
  /** The runs of topics: their producers, and how they end. */
  readonly runs: RunLog

  /**
   * Appends a batch: whole, in order, and as durable as `durability` says when the promise resolves. A message whose key its topic knows is
   * not appended again if its payload is the same: it gets the receipt of the first message with the key.
   *
   * @throws AppError `key_conflict` (the topic knows the key with another payload), `topic_closed`: nothing was appended
   * @throws AppError `run_taken` (another producer has claimed the topic), `run_lost` (the token of the message is not that of the present
   *   claim): nothing was appended
   * @throws AppError `log_unavailable`, `log_unusable`, `overloaded`: nothing was appended
   * @throws AppError `outcome_unknown`: the batch may have been appended. Append it again with the same keys to find out
   */
  append(messages: readonly Message[]): Promise<readonly Receipt[]>

  /**
   * Reads the oldest entries of the filter after a seq, in a later turn, so that other work runs between the reads of a long replay.
   *
   * @param isGone tells whether the reader has gone. If so, an expensive search stops, and the page may be empty
   */
  read(after: number, limit: ReadLimit, filter: Filter, isGone?: () => boolean): Promise<Page>

  /**
   * Finds the seq before the first entry of a beginning. Only kept entries count, because the age of trimmed entries is unknown. Resolves
   * with 0 if fewer than `last` entries are kept, or if no kept entry is older than `since`.
   *
   * For named topics `last` costs as much as the entries that it counts; for patterns it costs a scan back from the head. `since` costs a
   * binary search. A search runs in steps of limited size; all reads take turns.
   *
   * @param isGone tells whether the reader has gone. If so, the search stops and resolves with 0
   */
  seek(beginning: Beginning, filter: Filter, isGone?: () => boolean): Promise<number>

  /** The state of each named topic, with zeros if the topic is unknown; or a page of all topics. */
  topics(query: TopicQuery): Promise<readonly TopicState[]>

  /**
   * With a seq, erases one entry for good; its seq is not used again. Without a seq, erases all entries that the topic has now, which its
   * readers see as a gap, and reopens the topic. Idempotency keys stay known, so that a late retry does not bring a message back. The
   * erasure is durable when the promise resolves with the number of erased entries. If erasing a long history fails, its newer part stays.
   */
  erase(topic: string, seq?: number): Promise<number>

  /**
   * Resolves with the head, the newest seq (0 in an empty log). From then on `deliver` gets every durable entry after that head, including
   * those of this process, once, in order, and never before `follow` has resolved. `erased` is called in order with the deliveries.
   * `restarted` is called only for logs that other processes write too.
   */
  follow(deliver: Deliver, erased?: Erased, restarted?: Restarted): Promise<number>

  /**
   * Trims entries that are too old, forgets keys that are too old, and resolves when nothing is left to do. A log calls this itself when
   * its alarm rings (`Alarm`); an adapter calls it where an alarm of the platform has to wake the log first.
   */
  sweep?(): Promise<void>

  /** Resolves if an append would succeed now. @throws AppError `log_unavailable`, or `log_unusable` with the reason */
  check(): Promise<void>

  /** Commits waiting appends, then releases the log and its followers. Later appends fail. Calling `close` twice is allowed. */
  close(): Promise<void>
}

/** The other processes that share a log, and so form one hub with this process. */
export interface Peers {
  /** Answers the questions of other processes, for as long as the log is open. */
  onAsked(answer: (question: string) => string): void

  /** Asks all other processes, and resolves with the answers that arrive within a second. */
  ask(question: string): Promise<readonly string[]>

  /**
   * Takes `count` tokens out of a bucket that all processes share. A full bucket holds the tokens of one second. Taking more than the
   * bucket holds puts it into debt. Resolves with 0; or, if the bucket is empty and nothing was taken, with how many ms to wait.
   */
  take(bucket: string, count: number, perSecond: number): Promise<number>
}

/** Limits of what is kept. A missing limit means no limit. The oldest entries are trimmed first. */
export interface Retention {
  /** Most entries of the whole log. */
  readonly count?: number
  /** Most UTF-8 bytes of topics, event names and data in the whole log. */
  readonly bytes?: number
  /** Greatest age of an entry in ms. */
  readonly ageMs?: number
  /** Most entries of any one topic. */
  readonly topicCount?: number
  /** Most bytes of any one topic. */
  readonly topicBytes?: number
}

/**
 * Options of every driver; the defaults are `defaultLogOptions`.
 *
 * @example
 * const options: Partial<LogOptions> = { retention: { count: 1000, ageMs: 3_600_000 } }
 * const forgetful = new Hub(() => memoryLog(options))
 */
export interface LogOptions {
  /** Limits of what is kept. The newest entry of a `$` topic is never trimmed, because it is state of the hub. */
  readonly retention: Retention
  /** How long the log knows idempotency keys (24 h), and at most how many (1,000,000). */
  readonly keyAgeMs: number
  readonly keyCount: number
  /** For how many topics without kept entries the log remembers the last trimmed seq: 1,000,000. Forgetting one raises the floor. */
  readonly trimmedCount: number
  /** How long closed topics without entries are remembered (30 days), and at most how many (1,000,000). A forgotten one is open again. */
  readonly closedAgeMs: number
  readonly closedCount: number
  /** Most active runs, each of which takes about 1 KB of memory: 100,000. Claims of further topics are refused. */
  readonly maxRuns: number
  /** How long a stop is kept that was asked before the first claim of its topic (10 min), and at most how many (10,000, the newest). */
  readonly stopAgeMs: number
  readonly stopCount: number
  /** Most bytes of data that wait for a commit: 64 MiB. Appends beyond this limit are refused with `overloaded`. */
  readonly maxPendingBytes: number
  /**
   * A text that begins a new epoch if it differs from the last such text, which the log remembers. The operator sets it when clients know
   * another history and the log cannot notice that, for example after a whole machine was rolled back.
   */
  readonly newEpoch?: string
  /** Called with a warning for the operator when the warning begins or changes. */
  readonly warn?: (sentence: string) => void
}

export const defaultLogOptions: LogOptions = {
  retention: { count: 1_000_000, bytes: 1024 ** 3 },
  keyAgeMs: 24 * 3_600_000,
  keyCount: 1_000_000,
  trimmedCount: 1_000_000,
  closedAgeMs: 30 * 24 * 3_600_000,
  closedCount: 1_000_000,
  maxRuns: 100_000,
  stopAgeMs: 600_000,
  stopCount: 10_000,
  maxPendingBytes: 64 * 1024 ** 2,
}

/** Makes an epoch: 10 characters of `[a-z0-9]` from a cryptographic source, so that no two logs share one. */
export function newEpoch(): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
  return Array.from(crypto.getRandomValues(new Uint32Array(10)), (n) => alphabet[n % 36]).join('')
}

/** The fields of a message, each of which may be undefined. */
type Given = { readonly [Field in keyof Omit<Message, 'topic' | 'close'>]?: Message[Field] | undefined } & {
  readonly close: boolean | undefined
}

/** Makes a message of the fields that are defined. */
export function makeMessage(topic: string, { data, event, retry, key, close, outcome, detail, run }: Given): Message {
  // Field by field, because conditional spreads take several times as long.
  const message: { -readonly [Field in keyof Message]: Message[Field] } = { topic }
  if (data !== undefined) message.data = data
  if (event !== undefined) message.event = event
  if (retry !== undefined) message.retry = retry
  if (key !== undefined) message.key = key
  if (close) message.close = close
  if (outcome !== undefined) message.outcome = outcome
  if (detail !== undefined) message.detail = detail
  if (run !== undefined) message.run = run
  return message
}

/** Makes the entry of a message. The key and the token of a message are neither kept nor delivered. */
export function makeEntry(message: Message, { seq, time }: Pick<Entry, 'seq' | 'time'>): Entry {
  if (message.key === undefined && message.run === undefined) return { ...message, seq, time }
  const { topic, data, event, retry, close, outcome, detail } = message
  return { ...makeMessage(topic, { data, event, retry, close, outcome, detail }), seq, time }
}

/** The bytes of an entry that retention counts: topic, event name, data and detail in UTF-8. */
export function weigh({ topic, event, data, detail }: Omit<Message, 'key' | 'run'>): number {
  const bytes = topic.length + utf8Length(event ?? '') + utf8Length(data ?? '')
  return detail === undefined ? bytes : bytes + utf8Length(detail)
}

const encoder = new TextEncoder()
/** Buffer for text that is encoded only to count its bytes. */
const scratch = new Uint8Array(4096)

/**
 * UTF-8 bytes of well-formed text. Encoding the text in pieces that fit into the processor's cache is faster than a loop over code units:
 * 4 times for 128 units, 20 times for 60,000 (measured on Node; 2 and 20 times on Bun).
 */
export function utf8Length(text: string): number {
  let { read, written } = encoder.encodeInto(text, scratch)
  while (read < text.length) {
    const more = encoder.encodeInto(text.slice(read), scratch)
    read += more.read
    written += more.written
  }
  return written
}
