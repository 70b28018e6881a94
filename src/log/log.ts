import type { Filter } from '../topic.ts'

/**
 * What an acknowledged append survives, weakest first: `memory` (not the end of the process), `process` (kill -9), `disk` (a power cut),
 * `quorum` (the loss of any minority of processes).
 */
export type Durability = 'memory' | 'process' | 'disk' | 'quorum'

/** A message to append. `hub/message.ts` has checked it; a log trusts it. */
export interface Message {
  readonly topic: string
  /** Well-formed text, at most `maxEventBytes` of UTF-8. Only a message that closes its topic may have none. */
  readonly data?: string
  /** SSE event name; missing for the default, `message`. */
  readonly event?: string
  /** SSE reconnection time for readers of this message, 500…3,600,000 ms. */
  readonly retry?: number
  /** Idempotency key, scoped by topic. The key is not part of the payload and is not delivered. */
  readonly key?: string
  /** Closes the topic: nothing can be published to it until it is deleted. */
  readonly close?: true
}

/**
 * A message with its place: `seq` rises by exactly 1; `time` (ms since 1970) is before its predecessor's only where a clock was set back
 * by more than 10 s.
 */
export interface Entry extends Omit<Message, 'key'> {
  readonly seq: number
  readonly time: number
}

/** The place of an appended message. `duplicate`: its key was known, and this is the place of the first message with that key. */
export interface Receipt {
  readonly seq: number
  readonly time: number
  readonly duplicate: boolean
}

/** Most entries of one read, and bytes of them (as `weigh` counts). A read returns at least one entry if there is one. */
export interface ReadLimit {
  readonly count: number
  readonly bytes: number
  /** Returns only the newest entry of each topic. */
  readonly latest?: boolean
}

/** A beginning that is no position: so many of the newest entries, or the entries since a time (ms since 1970). */
export type Beginning = { readonly last: number } | { readonly since: number }

/** What a log knows of one topic. 0 stands for none. */
export interface TopicState {
  readonly topic: string
  /** Seq of the newest entry, kept or gone. */
  readonly last: number
  /** Entries kept. */
  readonly count: number
  /** Seq of the entry that closed it. */
  readonly closed: number
}

/** Topics by name, or a page of all topics that have kept entries or are closed, in the order of their names. */
export type TopicQuery =
  | { readonly names: Iterable<string> }
  | { readonly prefix: string; readonly after: string; readonly limit: number }

/**
 * Retention has removed entries of the asked topics after the asked seq, the last of them at `to`. `exact: false`: it may have, because
 * the record of it is gone too, and `to` is the head.
 */
export interface Trimmed {
  readonly to: number
  readonly exact: boolean
}

export interface Page {
  /** All entries of the filter between `after` and `scannedTo`, oldest first, except those that `trimmed` reports. */
  readonly entries: readonly Entry[]
  /** The read has looked at everything up to here: the head, unless a limit ended it before. */
  readonly scannedTo: number
  readonly trimmed?: Trimmed
  /** Of a `latest` read: the last entry that was passed over for a newer one. */
  readonly conflated?: number
}

export type Deliver = (entries: readonly Entry[]) => void

/**
 * Called when entries that were delivered are erased: the entry of a topic at `seq`, or without a seq all entries of the topic up to and
 * including `upTo`. The latter reopens the topic, unless it was closed after `upTo`.
 */
export type Erased = (topic: string, seq: number | undefined, upTo: number) => void

/** Called when earlier deliveries are void: another log replaced the log (the epoch changed), or some were missed. Deliveries go on after `head`. */
export type Restarted = (head: number) => void

/**
 * One ordered sequence of entries. Every sentence here is a test of `test/log/suite.ts`, which every driver passes.
 *
 * - `seq` rises by exactly 1: duplicates, refusals and failures take no number.
 * - Appends of one turn of the event loop are committed and delivered together, in the order of the calls.
 * - A batch is appended whole or refused whole; a refused batch does not affect its neighbours.
 * - A `read` of named topics costs about what it returns, for a log of any length.
 * - Retention remembers for each topic the last seq that it trimmed, so that a gap is exact.
 */
export interface Log {
  /**
   * Names this incarnation of the log: `[a-z0-9]`, 10 characters. Positions of another epoch name no place in it. When the server of a
   * log was emptied or replaced or has lost a key, the epoch changes and `restarted` is called.
   */
  readonly epoch: string
  readonly durability: Durability
  /** What an operator should mend although the log works: sentences. */
  readonly warnings: readonly string[]
  /** The other processes; missing where one process has the log for itself. */
  readonly peers?: Peers

  /**
   * Appends a batch: atomic, in order, durable as declared when it resolves. A message with a key that its topic knows, and the same
   * payload, is not appended again: its receipt is that of the first message with the key.
   *
   * @throws AppError `key_conflict` (known key, other payload), `topic_closed`: nothing was appended.
   * @throws AppError `log_unavailable`, `overloaded` (nothing was appended)
   * @throws AppError `outcome_unknown`: it may have been appended. An append with the same keys finds out.
   */
  append(messages: readonly Message[]): Promise<readonly Receipt[]>

  /**
   * Reads the oldest entries of the filter after a seq, in a later turn, so that other work runs between the reads of a long replay.
   *
   * @param isGone whether the reader has gone: then an expensive search stops, and the page is empty
   */
  read(after: number, limit: ReadLimit, filter: Filter, isGone?: () => boolean): Promise<Page>

  /**
   * The seq before the first entry of a beginning. Only kept entries count: with fewer than `last` of them it is 0, and also if none is
   * older than `since`, because the age of trimmed entries is unknown. `last` costs what it counts for named topics and a scan from the
   * head for patterns; `since` costs a binary search. Runs in bounded steps, in turns that all reads share.
   *
   * @param isGone whether the reader has gone: then the search stops, and resolves with 0
   */
  seek(beginning: Beginning, filter: Filter, isGone?: () => boolean): Promise<number>

  /** The state of the named topics, zeros for unknown ones; or a page of all topics. */
  topics(query: TopicQuery): Promise<readonly TopicState[]>

  /**
   * Erases an entry for good; its seq stays taken. Without a seq, erases all that the topic has now, which its readers see as a gap, and
   * reopens the topic. Keys stay known, so that a late retry brings nothing back. Durable when it resolves with the number of erased
   * entries. If erasing a long history fails, the newer part of it stays.
   */
  erase(topic: string, seq?: number): Promise<number>

  /**
   * Resolves with the head, the newest seq (0 in an empty log). From then on `deliver` gets every durable entry after that head, of this
   * process too, once, in order, and never before `follow` has resolved. `erased` is called in the same order. `restarted` is called
   * only for logs that other processes write.
   */
  follow(deliver: Deliver, erased?: Erased, restarted?: Restarted): Promise<number>

  /** Resolves if an append would succeed now. @throws AppError `log_unusable` with the reason */
  check(): Promise<void>

  /** Commits waiting appends and releases the log and its followers; later appends fail. Calling it twice is allowed. */
  close(): Promise<void>
}

/** The other processes that share a log and so form one hub. */
export interface Peers {
  /** Answers the questions of other processes, for as long as the log is open. */
  onAsked(answer: (question: string) => string): void

  /** Asks all other processes, and resolves with the answers that came within a second. */
  ask(question: string): Promise<readonly string[]>

  /**
   * Takes `count` out of a bucket that all processes share. It holds what flows in within a second, and may go into debt. Resolves with 0,
   * or, if the bucket is empty and nothing was taken, with how long to wait in ms.
   */
  take(bucket: string, count: number, perSecond: number): Promise<number>
}

/** Bounds of what is kept; a missing bound is none. The oldest go first. */
export interface Retention {
  /** Entries of the whole log. */
  readonly count?: number
  /** UTF-8 bytes of topics, event names and data of the whole log. */
  readonly bytes?: number
  /** Age in ms. */
  readonly ageMs?: number
  /** Entries of any one topic. */
  readonly topicCount?: number
  /** Bytes of any one topic. */
  readonly topicBytes?: number
}

/** Options of every driver; the defaults are `defaultLogOptions`. */
export interface LogOptions {
  /** Bounds of what is kept. The newest entry of a `$` topic is never trimmed: it is the state of the hub. */
  readonly retention: Retention
  /** How long idempotency keys are known, and how many: 24 h, 1,000,000. */
  readonly keyAgeMs: number
  readonly keyCount: number
  /** For how many topics without kept entries the last trimmed seq is remembered: 1,000,000. Older ones fold into one floor. */
  readonly trimmedCount: number
  /** How long a closed topic is remembered once its entries are trimmed, and how many: 30 days, 1,000,000. Then it can be published to. */
  readonly closedAgeMs: number
  readonly closedCount: number
  /** Most bytes of data that wait for a commit: 64 MiB. Appends beyond it are refused as `overloaded`. */
  readonly maxPendingBytes: number
  /**
   * Begins a new epoch, once for each new text, which the log remembers: the operator says that clients know another history. For what
   * no log can see, such as a machine that was rolled back as a whole.
   */
  readonly newEpoch?: string
  /** Writes a warning for the operator when it begins. */
  readonly warn?: (sentence: string) => void
}

export const defaultLogOptions: LogOptions = {
  retention: { count: 1_000_000, bytes: 1024 ** 3 },
  keyAgeMs: 24 * 3_600_000,
  keyCount: 1_000_000,
  trimmedCount: 1_000_000,
  closedAgeMs: 30 * 24 * 3_600_000,
  closedCount: 1_000_000,
  maxPendingBytes: 64 * 1024 ** 2,
}

/** Makes an epoch: 10 characters of `[a-z0-9]` from a cryptographic source, so that no two logs share one. */
export function newEpoch(): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
  return Array.from(crypto.getRandomValues(new Uint32Array(10)), (n) => alphabet[n % 36]).join('')
}

type Fields = Omit<Message, 'topic' | 'close'>

/** Fields of a message, which may be undefined. */
type Given = { readonly [Field in keyof Fields]-?: Fields[Field] | undefined } & { readonly close: boolean | undefined }

/** Makes a message of the fields that are defined. */
export function makeMessage(topic: string, { data, event, retry, key, close }: Given): Message {
  // Field by field, because conditional spreads take several times as long.
  const message: { -readonly [Field in keyof Message]: Message[Field] } = { topic }
  if (data !== undefined) message.data = data
  if (event !== undefined) message.event = event
  if (retry !== undefined) message.retry = retry
  if (key !== undefined) message.key = key
  if (close) message.close = close
  return message
}

/** Removes the key, which is neither kept with the entry nor delivered. */
export function unkeyed(message: Message): Omit<Message, 'key'> {
  if (message.key === undefined) return message // the copy costs several times as much
  const { key: _, ...rest } = message
  return rest
}

/** The bytes of an entry that retention counts: topic, event name and data in UTF-8. */
export function weigh(message: Message): number {
  return message.topic.length + utf8Length(message.event ?? '') + utf8Length(message.data ?? '')
}

const encoder = new TextEncoder()
/** Receives text that is encoded only to be counted. */
const scratch = new Uint8Array(4096)

/**
 * UTF-8 bytes of well-formed text. Encoding it in pieces that fit into the processor's cache is faster than a loop over code units: 4 times
 * for 128 units, 20 times for 60,000 (measured on Node; 2 and 20 times on Bun).
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
