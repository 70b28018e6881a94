import { AppError, quote } from '../errors.ts'
import { isOwn } from '../topic.ts'
import { type ClockStep, effectiveTime } from './clock.ts'
import type { Batch } from './group.ts'
import type { Message, Receipt, Retention, Trimmed } from './log.ts'
import type { EntryRow, KeyRow, TopicRow } from './tables.ts'

/*
 * What a log decides: where a batch goes, what closes, what is trimmed, forgotten and reported as lost. Each rule is a pure function over
 * rows that a driver has fetched; drivers fetch and store. The local log calls these functions; the Lua of the Redis log decides the same
 * inside the server, and test/log/rules.test.ts compares the two over random histories.
 */

/** Entries and bytes of a log or of a topic. */
export interface Totals {
  readonly count: number
  readonly bytes: number
}

/** Bounds of `Totals`, and the effective time before which entries are too old; a missing bound is none. */
export interface Bounds {
  readonly count?: number
  readonly bytes?: number
  readonly before?: number
}

/** Why a batch is refused, and the message that it is refused for. */
export interface Refusal {
  readonly code: 'key_conflict' | 'topic_closed'
  readonly index: number
}

/** The rows that placing a batch depends on. */
export interface PlacingRows {
  /** Seq of the newest entry. */
  readonly head: number
  /** The time that new entries get, in ms since 1970: see `timeAfter`. */
  readonly time: number
  /** The seq that closed a topic; 0 while it is open. */
  closedAt(topic: string): number
  /** A known key of a topic, unless `isKeyForgotten`. */
  key(topic: string, key: string): Pick<KeyRow, 'hash' | 'seq' | 'time'> | undefined
}

/**
 * Gives each message of a batch its seq and time, or refuses the batch as a whole. A message whose key its topic knows, with the same
 * payload, gets the receipt of the first one and takes no seq; with another payload it refuses the batch. Nothing follows a close.
 * Messages see the keys and closes of those before them in the batch.
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
  for (const [index, { topic, key, close }] of messages.entries()) {
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
    if (close) {
      closes ??= new Set()
      closes.add(topic)
    }
    receipts.push({ seq: ++head, time, duplicate: false })
  }
  return receipts
}

/** The error that a refused batch is answered with. */
export function refusalError({ code, index }: Refusal, messages: readonly Message[]): AppError {
  const { topic, key } = messages[index]!
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

/** Whether a key is too old to be known, although its row may still be stored. */
export function isKeyForgotten(key: ClockStep, steps: readonly ClockStep[], oldest: number): boolean {
  return effectiveTime(key, steps) < oldest
}

/** How many of the oldest keys go: those that are too old, and as many as there are beyond `keyCount`. @param rows oldest first */
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

/** Bounds of the whole log. */
export function logBounds({ count, bytes, ageMs }: Retention, now: number): Bounds {
  return {
    ...(count !== undefined && { count }),
    ...(bytes !== undefined && { bytes }),
    ...(ageMs !== undefined && { before: now - ageMs }),
  }
}

/** Bounds of each topic. */
export function topicBounds({ topicCount: count, topicBytes: bytes }: Retention): Bounds {
  return { ...(count !== undefined && { count }), ...(bytes !== undefined && { bytes }) }
}

/** Whether a log or topic holds more than its bounds allow; age is a matter of single entries. */
export function isOver(totals: Totals, { count, bytes }: Bounds): boolean {
  return (count !== undefined && totals.count > count) || (bytes !== undefined && totals.bytes > bytes)
}

/**
 * The entries of a page that retention trims: oldest first, as long as the totals are over a bound or the entry is too old. The newest
 * entry of a `$` topic is the state of the hub: it is passed over and stays.
 *
 * @param rows the oldest entries of the log or topic that may go, oldest first
 * @param newest the seq of the newest entry of a topic
 * @returns the entries to trim; `upTo`: the last seq that was looked at, 0 for none; `isDone`: nothing after it is over a bound
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

/** What closed a topic, after its history up to a seq was erased: a close up to there is erased too, and the topic is open again. */
export function closeAfterErasing(closed: number, upTo: number): number {
  return closed <= upTo ? 0 : closed
}

/** Whether nothing is left of a topic but the seq that was trimmed last. */
export function isEmptied({ count, closed }: TopicRow): boolean {
  return count === 0 && closed === 0
}

/** Whether nothing is left of a topic but that it is closed. */
export function isOnlyClosed({ count, closed }: TopicRow): boolean {
  return count === 0 && closed > 0
}

/** The head of the log at a past time: entries up to `seq` were appended by then. */
export interface TimeMark {
  readonly seq: number
  readonly time: number
}

/** How many marks divide an age: the age of a seq is known to this part of it. */
export const MARKS_PER_AGE = 100

/**
 * The marks with one for the head now, or the same list if the last mark is recent enough. Drops marks that are older than `ageMs`, except
 * the newest of them, and marks of a clock that was ahead and was set back.
 */
export function markHead(marks: readonly TimeMark[], head: number, now: number, ageMs: number): readonly TimeMark[] {
  const last = marks.at(-1)
  if (last && now >= last.time && now - last.time < ageMs / MARKS_PER_AGE) return marks
  const past = marks.filter(({ time }) => time < now)
  const oldest = past.findLastIndex(({ time }) => time <= now - ageMs)
  return [...past.slice(Math.max(0, oldest)), { seq: head, time: now }]
}

/** The last seq that is known to be older than `ageMs`; 0 for none. */
export function seqOlderThan(marks: readonly TimeMark[], now: number, ageMs: number): number {
  return marks.findLast(({ time }) => time <= now - ageMs)?.seq ?? 0
}

/**
 * How many of the closed topics without entries are forgotten, which can be published to again: those that were closed up to `upTo`, and
 * as many as there are beyond `closedCount`, but never the last one.
 *
 * @param rows in the order in which they were closed
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

/** How many emptied topics are forgotten: the highest seq that was trimmed from them becomes the floor. */
export function surplusTopics(emptied: number, trimmedCount: number): number {
  return Math.max(0, emptied - trimmedCount)
}

/**
 * What a reader after a seq has lost to retention. Below the floor nobody knows any more, and everything up to the head may be lost.
 *
 * @param lastTrimmed the last trimmed seq of what the reader asks for; 0 for none
 */
export function lossAfter(
  after: number,
  lastTrimmed: number,
  { head, floor }: { readonly head: number; readonly floor: number },
): Trimmed | undefined {
  if (after < floor) return { to: head, exact: false }
  return lastTrimmed > after ? { to: lastTrimmed, exact: true } : undefined
}
