import { AppError, quote } from '../errors.ts'
import { isOwn } from '../topic.ts'
import { type ClockStep, effectiveTime } from './clock.ts'
import type { Batch } from './group.ts'
import type { Message, Receipt, Retention, Trimmed } from './log.ts'
import { lostError, refusalByRun, takenError } from './run-rules.ts'
import type { EntryRow, KeyRow, RunRow, TopicRow } from './tables.ts'

/*
 * The decisions of a log: the seqs of a batch, which topics close, and what is trimmed, forgotten and reported as lost. Each rule is a pure
 * function of rows that a driver has fetched; the driver also stores the result. The local log calls these functions. The Lua of the Redis
 * log makes the same decisions inside the server; test/log/rules.test.ts compares the two with random histories.
 */

/** Entries and bytes of a log or of a topic. */
export interface Totals {
  readonly count: number
  readonly bytes: number
}

/** Limits of `Totals`, and `before`, the effective time before which entries are too old. A missing limit means no limit. */
export interface Bounds {
  readonly count?: number
  readonly bytes?: number
  readonly before?: number
}

/** Why a batch is refused, and the index of the message that is the reason. */
export interface Refusal {
  readonly code: 'key_conflict' | 'topic_closed' | 'run_taken' | 'run_lost'
  readonly index: number
}

/** What `placeBatch` has to know of the log. */
export interface PlacingRows {
  /** Seq of the newest entry. */
  readonly head: number
  /** The time that new entries get, in ms since 1970: see `timeAfter`. */
  readonly time: number
  /** The seq that closed a topic; 0 while it is open. */
  closedAt(topic: string): number
  /** The row of a topic's key; undefined if the key is unknown or `isKeyForgotten`. */
  key(topic: string, key: string): Pick<KeyRow, 'hash' | 'seq' | 'time'> | undefined
  /** The run of a topic, if it is active, and whether its lease and the time after it have ended. */
  run(topic: string): RunRow | undefined
  isRunOver(topic: string): boolean
}

/**
 * Gives each message of a batch its seq and time, or refuses the whole batch:
 *
 * - A message whose key its topic knows with the same payload gets the receipt of the first message with the key, and takes no seq.
 * - A message whose key its topic knows with another payload causes a refusal.
 * - Any other message to a closed topic causes a refusal.
 * - Any other message to a topic in a run causes a refusal, unless it has the token of the run.
 *
 * Keys and closes of earlier messages in the batch count too.
 */
export function placeBatch(
  { messages, hashes }: Pick<Batch, 'messages' | 'hashes'>,
  rows: PlacingRows,
): readonly Receipt[] | Refusal {
  const receipts: Receipt[] = []
  const { time } = rows
  let { head } = rows
  let keys: Map<string, Pick<KeyRow, 'hash' | 'seq' | 'time'>> | undefined
  let closes: Set<string> | undefined
  for (const [index, message] of messages.entries()) {
    const { topic, key, close } = message
    const hash = hashes?.[index]
    if (key !== undefined && hash !== undefined) {
      keys ??= new Map()
      const name = JSON.stringify([topic, key])
      const known = keys.get(name) ?? rows.key(topic, key)
      if (known && known.hash !== hash) return { code: 'key_conflict', index }
      if (known) {
        receipts.push({ seq: known.seq, time: known.time, duplicate: true })
        continue
      }
      keys.set(name, { hash, seq: head + 1, time })
    }
    if (closes?.has(topic) || rows.closedAt(topic) > 0) return { code: 'topic_closed', index }
    const run = rows.run(topic)
    const refusal =
      run === undefined && message.run === undefined ? undefined : refusalByRun(run, message, rows.isRunOver)
    if (refusal) return { code: refusal, index }
    if (close) {
      closes ??= new Set()
      closes.add(topic)
    }
    receipts.push({ seq: ++head, time, duplicate: false })
  }
  return receipts
}

/** The error with which a refused batch is rejected. @param leaseEndOf when the lease of a run ends, in ms since 1970, if that is known */
export function refusalError(
  { code, index }: Refusal,
  messages: readonly Message[],
  leaseEndOf: (topic: string) => number | undefined = () => undefined,
): AppError {
  const { topic, key } = messages[index]!
  if (code === 'run_taken') return takenError(topic, leaseEndOf(topic), Date.now())
  if (code === 'run_lost') return lostError(topic)
  const reasons = {
    topic_closed: `Cannot publish to ${quote(topic)}: the topic is closed`,
    key_conflict: `Cannot publish with key ${quote(key ?? '')}: the topic has another message with this key`,
  }
  return new AppError(code, reasons[code])
}

/** The effective time before which keys are forgotten. */
export function oldestKeyTime(now: number, keyAgeMs: number): number {
  return now - keyAgeMs
}

/** Whether a key is so old that it counts as unknown, although its row may still be stored. */
export function isKeyForgotten(key: ClockStep, steps: readonly ClockStep[], oldest: number): boolean {
  return effectiveTime(key, steps) < oldest
}

/** How many of the oldest keys are forgotten: those that are too old, and those in excess of `keyCount`. @param rows oldest first */
export function surplusKeys(
  rows: readonly KeyRow[],
  kept: number,
  keyCount: number,
  steps: readonly ClockStep[],
  oldest: number,
): number {
  let gone = 0
  while (gone < rows.length && (kept - gone > keyCount || isKeyForgotten(rows[gone]!, steps, oldest))) gone++
  return gone
}

/** Limits of the whole log. */
export function logBounds({ count, bytes, ageMs }: Retention, now: number): Bounds {
  return {
    ...(count !== undefined && { count }),
    ...(bytes !== undefined && { bytes }),
    ...(ageMs !== undefined && { before: now - ageMs }),
  }
}

/** Limits of each topic. */
export function topicBounds({ topicCount: count, topicBytes: bytes }: Retention): Bounds {
  return { ...(count !== undefined && { count }), ...(bytes !== undefined && { bytes }) }
}

/** Whether a log or topic has too many entries or bytes. The age of entries does not count here. */
export function isOver(totals: Totals, { count, bytes }: Bounds): boolean {
  return (count !== undefined && totals.count > count) || (bytes !== undefined && totals.bytes > bytes)
}

/**
 * The entries of a page that retention trims: oldest first, as long as the totals exceed a limit or the entry is too old. The newest entry
 * of a `$` topic is state of the hub and is kept.
 *
 * @param rows the oldest entries of the log or topic that may be trimmed, oldest first
 * @param newest returns the seq of a topic's newest entry
 * @returns `surplus`: the entries to trim; `upTo`: the last seq that was looked at, 0 for none; `isDone`: whether no later entry has to go
 */
export function surplusEntries(
  rows: readonly EntryRow[],
  totals: Totals,
  bounds: Bounds,
  steps: readonly ClockStep[],
  newest: (topic: string) => number | undefined,
): { readonly surplus: readonly EntryRow[]; readonly upTo: number; readonly isDone: boolean } {
  const surplus: EntryRow[] = []
  let { count, bytes } = totals
  let upTo = 0
  for (const row of rows) {
    const isOld = bounds.before !== undefined && effectiveTime(row, steps) < bounds.before
    if (!isOld && !isOver({ count, bytes }, bounds)) return { surplus, upTo, isDone: true }
    upTo = row.seq
    if (isOwn(row.topic) && newest(row.topic) === row.seq) continue
    surplus.push(row)
    count--
    bytes -= row.bytes
  }
  return { surplus, upTo, isDone: false }
}

/** The seq of a topic's close after its history up to `upTo` was erased: 0, which means open, if the close was erased too. */
export function closeAfterErasing(closed: number, upTo: number): number {
  return closed <= upTo ? 0 : closed
}

/** Whether a topic has no entries and is not closed, so that only its last trimmed seq is left. */
export function isEmptied({ count, closed }: TopicRow): boolean {
  return count === 0 && closed === 0
}

/** Whether a topic has no entries, but is closed. */
export function isOnlyClosed({ count, closed }: TopicRow): boolean {
  return count === 0 && closed > 0
}

/** The head of the log at a past time: entries up to `seq` had been appended at `time`. */
export interface TimeMark {
  readonly seq: number
  readonly time: number
}

/** How many marks are made in the time `ageMs`. The age of a close is known to a hundredth of `ageMs`. */
export const MARKS_PER_AGE = 100

/**
 * Adds a mark for the present head, or returns the same list if the last mark is recent enough. Drops the marks that are older than
 * `ageMs`, except the newest of these, and marks with a future time, which a clock that was ahead has left.
 */
export function markHead(marks: readonly TimeMark[], head: number, now: number, ageMs: number): readonly TimeMark[] {
  const last = marks.at(-1)
  if (last && now >= last.time && now - last.time < ageMs / MARKS_PER_AGE) return marks
  const past = marks.filter(({ time }) => time < now)
  const oldest = past.findLastIndex(({ time }) => time <= now - ageMs)
  return [...past.slice(Math.max(0, oldest)), { seq: head, time: now }]
}

/** The last seq that the marks prove to be older than `ageMs`; 0 for none. */
export function seqOlderThan(marks: readonly TimeMark[], now: number, ageMs: number): number {
  return marks.findLast(({ time }) => time <= now - ageMs)?.seq ?? 0
}

/**
 * How many closed topics without entries are forgotten: those that were closed at or before `upTo`, and those in excess of `closedCount`,
 * but never the last one. A forgotten topic can be published to again.
 *
 * @param rows the topics, in the order in which they were closed
 * @param kept how many closed topics without entries the log has; may be more than `rows`
 */
export function surplusClosed(
  rows: readonly Pick<TopicRow, 'closed'>[],
  kept: number,
  closedCount: number,
  upTo: number,
): number {
  let gone = 0
  while (gone < rows.length && kept - gone > 1 && (kept - gone > closedCount || rows[gone]!.closed <= upTo)) gone++
  return gone
}

/** How many emptied topics are forgotten. The caller raises the floor to the highest seq that was trimmed from these topics. */
export function surplusTopics(emptied: number, trimmedCount: number): number {
  return Math.max(0, emptied - trimmedCount)
}

/**
 * What retention has taken from a reader that continues after a seq; undefined for nothing. Below the floor the log no longer knows, and
 * reports that everything up to the head may be lost.
 *
 * @param lastTrimmed the last trimmed seq of the reader's filter; 0 for none
 */
export function lossAfter(
  after: number,
  lastTrimmed: number,
  { head, floor }: { readonly head: number; readonly floor: number },
): Trimmed | undefined {
  if (after < floor) return { to: head, exact: false }
  return lastTrimmed > after ? { to: lastTrimmed, exact: true } : undefined
}
