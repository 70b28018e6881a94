import type { Filter } from '../topic.ts'

/**
 * What an append that returned has proved, weakest first: `memory` (nothing survives the process), `process` (survives
 * kill -9), `disk` (survives a power cut), `quorum` (a majority of processes holds it).
 */
export type Durability = 'memory' | 'process' | 'disk' | 'quorum'

/** What was said. Checked at the door (`hub/message.ts`); a log trusts it. */
export interface Message {
  readonly topic: string
  /** Well-formed text, at most `maxEventBytes` of UTF-8. Missing only in a message that closes its topic without a word. */
  readonly data?: string
  /** SSE event name; missing for the default, `message`. */
  readonly event?: string
  /** SSE reconnection time for readers of this message, 500…3,600,000 ms. */
  readonly retry?: number
  /** Idempotency key, scoped by topic. It is no part of the payload and is not delivered. */
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

/** Where a message of an append ended up. `duplicate`: its key was known, and this is the first one's place. */
export interface Receipt {
  readonly seq: number
  readonly time: number
  readonly duplicate: boolean
}

/** How much one read may return: so many entries and bytes of them (as `weigh` counts), but one entry at least if there is one. */
export interface ReadLimit {
  readonly count: number
  readonly bytes: number
  /** Only the newest entry of each topic; what it supersedes is passed over. */
  readonly latest?: boolean
}

/** Where to begin that is no position: the newest so many entries of what matches, or those since a time (ms since 1970). */
export type Beginning = { readonly last: number } | { readonly since: number }

/** What a log knows of one topic; 0 stands for never. */
export interface TopicState {
  readonly topic: string
  /** Seq of its newest entry, kept or gone. */
  readonly last: number
  /** Entries kept. */
  readonly count: number
  /** Seq of the entry that closed it. */
  readonly closed: number
}

/** Topics by name, or a page of those that have kept entries or are closed, in the order of their names. */
export type TopicQuery =
  | { readonly names: Iterable<string> }
  | { readonly prefix: string; readonly after: string; readonly limit: number }

/**
 * Some of the asked topics' entries after the asked seq are gone, the last of them at `to`. `exact: false`: they may be, the record
 * of it is gone too, and `to` is the head.
 */
export interface Trimmed {
  readonly to: number
  readonly exact: boolean
}

export interface Page {
  /** Oldest first, all of the filter, none skipped between `after` and `scannedTo` but what `trimmed` names. */
  readonly entries: readonly Entry[]
  /** Everything up to here was looked at. Less than the head when a limit cut the read short. */
  readonly scannedTo: number
  readonly trimmed?: Trimmed
  /** Of a `latest` read: the last entry that was passed over for a newer one. */
  readonly conflated?: number
}

export type Deliver = (entries: readonly Entry[]) => void

/**
 * Called when something that was delivered is gone: the entry of a topic at `seq`, or without a seq all entries of the topic up to
 * and including `upTo`, and that it was closed, if the entry that closed it is not after `upTo`.
 */
export type Erased = (topic: string, seq: number | undefined, upTo: number) => void

/**
 * Told that nothing may be concluded any more from what was delivered: the log is another one (its epoch is another), or some was
 * missed that only a read can tell of. What is delivered goes on after `head`.
 */
export type Restarted = (head: number) => void

/**
 * One ordered sequence of entries. Every sentence here is a test of `test/log/suite.ts`, which every driver passes.
 *
 * - `seq` rises by exactly 1: no number is burned by a duplicate, a refusal or a failure.
 * - What is appended in one turn of the event loop is committed and delivered together, in the order of the calls.
 * - A batch is all or nothing; a refused batch never takes its neighbour with it.
 * - `read` of named topics costs about what it returns, whatever the length of the log.
 * - Retention trims here, and remembers for each topic the last seq it trimmed, so that a gap is exact.
 */
export interface Log {
  /**
   * Names this incarnation; another epoch means that positions of the former one name no place here. `[a-z0-9]`, 10 characters.
   * It changes under a log whose server was emptied or replaced or lost a key, and then `restarted` is called.
   */
  readonly epoch: string
  readonly durability: Durability
  /** What an operator should mend although the log works, a sentence each. */
  readonly warnings: readonly string[]
  /** Missing where one process has the log for itself. */
  readonly peers?: Peers

  /**
   * Appends a batch: atomic, in order, durable as declared when it resolves.
   * A message whose key its topic already knows, with the same payload, is not appended again but answered with its first place.
   *
   * @throws AppError `key_conflict` (known key, other payload), `topic_closed`: nothing was appended.
   * @throws AppError `log_unavailable` (nothing was appended)
   * @throws AppError `outcome_unknown`: it may or may not have been appended; the same keys tell.
   */
  append(messages: readonly Message[]): Promise<readonly Receipt[]>

  /**
   * The oldest entries of the filter after a seq. Leaves the turn of its caller, so that a long replay lets others run.
   *
   * @param isGone whether the reader has gone, for whom nothing dear need be found out any more: then nothing is returned
   */
  read(after: number, limit: ReadLimit, filter: Filter, isGone?: () => boolean): Promise<Page>

  /**
   * The seq after which a beginning begins. Of what is kept: fewer than `last` entries begin at 0, and where nothing kept is
   * older than `since` it is 0 too, because nobody can tell how old what was trimmed was. Named topics cost what they return,
   * a pattern's `last` a scan from the head, `since` a search by halving.
   */
  seek(beginning: Beginning, filter: Filter): Promise<number>

  /** The state of the named topics, unknown ones among them with zeros, or a page of those that there are. */
  topics(query: TopicQuery): Promise<readonly TopicState[]>

  /**
   * Erases an entry for good: its seq stays taken, readers get the others. Without a seq, forgets all that the topic has up to now,
   * which its readers are told of as of anything trimmed, and reopens it. Keys stay known: a late retry brings nothing back.
   * Durable when it resolves with the number of entries erased; of a long history a failure leaves the newer part.
   */
  erase(topic: string, seq?: number): Promise<number>

  /**
   * Resolves with the head, the newest seq (0 in an empty log). From then on `deliver` gets every batch after that head,
   * our own included, once, in order, only what is durable, and never before `follow` has resolved; `erased` hears in the same order
   * of what is gone from what was delivered. `restarted` is for logs that others write, too.
   */
  follow(deliver: Deliver, erased?: Erased, restarted?: Restarted): Promise<number>

  /** Resolves if an append would work now. @throws AppError `log_unusable` with the reason */
  check(): Promise<void>

  /** Commits what was appended, releases the log and its followers; then appends fail. Calling it twice is allowed. */
  close(): Promise<void>
}

/** The other processes that share a log, and with it one hub. */
export interface Peers {
  /** Has what others ask answered, for as long as the log is open. */
  onAsked(answer: (question: string) => string): void

  /** What those others answer that are alive; whoever has not within a second is left out. */
  ask(question: string): Promise<readonly string[]>

  /**
   * Takes so many out of a bucket that all share, which holds what comes in a second and gives into debt. Resolves with how long to
   * wait in ms if it holds nothing, and then nothing was taken; else with 0.
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

/** What a driver may be told; the defaults are of `defaultLogOptions`. */
export interface LogOptions {
  /** The newest entry of a `$` topic is never trimmed: it is the state of the hub. */
  readonly retention: Retention
  /** How long, and how many, idempotency keys are known: 24 h, 1,000,000. */
  readonly keyAgeMs: number
  readonly keyCount: number
  /** Topics without a kept entry whose last trimmed seq is remembered: 1,000,000. Older ones fold into one floor. */
  readonly trimmedCount: number
  /**
   * The operator's word that this history is not the one that clients know: a text that the log does not remember gives it a new
   * epoch, and is remembered. For what no log can see, such as a machine that was rolled back as a whole.
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
}

/** A fresh epoch: 10 characters of `[a-z0-9]`, from a cryptographic source, so that no two logs share one. */
export function newEpoch(): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
  return Array.from(crypto.getRandomValues(new Uint32Array(10)), (n) => alphabet[n % 36]).join('')
}

type Fields = Omit<Message, 'topic' | 'close'>

/** What is given of a message; undefined is not. */
type Given = { readonly [Field in keyof Fields]-?: Fields[Field] | undefined } & { readonly close: boolean | undefined }

/** A message that has those fields alone that are given. */
export function makeMessage(topic: string, { data, event, retry, key, close }: Given): Message {
  // A field after the other, because a conditional spread of each takes several times as long.
  const message: { -readonly [Field in keyof Message]: Message[Field] } = { topic }
  if (data !== undefined) message.data = data
  if (event !== undefined) message.event = event
  if (retry !== undefined) message.retry = retry
  if (key !== undefined) message.key = key
  if (close) message.close = close
  return message
}

/** What of a message is kept and delivered. */
export function unkeyed(message: Message): Omit<Message, 'key'> {
  if (message.key === undefined) return message // what follows costs several times as much
  const { key: _, ...said } = message
  return said
}

/** What an entry weighs in retention: the UTF-8 bytes of its topic, event name and data. */
export function weigh(message: Message): number {
  return message.topic.length + utf8Length(message.event ?? '') + utf8Length(message.data ?? '')
}

const encoder = new TextEncoder()
/** Where text is encoded to be counted. */
const counted = new Uint8Array(4096)

/**
 * UTF-8 bytes of well-formed text. To have so much of it encoded at a time that the processor's cache holds it is four times as fast as
 * to look at each unit here, for 128 of them, and twenty times for 60,000 (measured on Node; twice and twenty times on Bun).
 */
export function utf8Length(text: string): number {
  let { read, written } = encoder.encodeInto(text, counted)
  while (read < text.length) {
    const more = encoder.encodeInto(text.slice(read), counted)
    read += more.read
    written += more.written
  }
  return written
}
