import type { Page } from '../log/log.ts'
import type { GapReason } from './frame.ts'
import { formatPosition, type Position } from './position.ts'
import type { Repeat } from './repeats.ts'

/** Where history begins. `vouched`: everything that was asked for comes after it, although entries before it were trimmed. */
export interface History {
  readonly after: number
  readonly vouched: boolean
}

/** What the hub looks up before a stream opens, while the subscription already follows the log. */
export interface Lookup {
  readonly history?: History
  readonly repeat?: { readonly of: Repeat; readonly everyMs: number }
}

/** Where a reader wants to begin. */
export interface Wanted {
  /** The position that the reader sent: none, one of this or another log, or a text that is no position of any log. */
  readonly asked: Position | 'unknown' | undefined
  /** The history that a reader without a position asked for. */
  readonly history?: History | undefined
}

/** Where the hub stands when a stream opens. */
export interface Standing {
  readonly epoch: string
  /** The head when the stream joined. */
  readonly joinedAt: number
  /** Positions before this one need the log. */
  readonly floor: number
}

/** Entries that cannot be delivered: those after `from`, up to and including `to`. */
export interface Gap {
  readonly reason: GapReason
  readonly from: string | null
  readonly to: number
  readonly exact: boolean
}

/** How a stream begins: the state that `hub.open` reports, and the position after it. */
export interface Opened {
  readonly position: number
  readonly state: 'live' | 'resumed' | 'gap'
  readonly gap?: Gap
}

/** How a stream begins, or the position from which the log has to be read to know it. */
export function openAtOnce({ asked, history }: Wanted, { epoch, joinedAt, floor }: Standing): Opened | number {
  if (history) return history.after >= floor ? { position: history.after, state: 'live' } : history.after
  if (asked === undefined) return { position: joinedAt, state: 'live' }
  if (asked === 'unknown')
    return { position: joinedAt, state: 'gap', gap: { reason: 'unknown', from: null, to: joinedAt, exact: false } }
  if (asked.epoch !== epoch) return 0
  // Below the window the log knows what is left; above the head, whether it has reached that position by now.
  return asked.seq >= floor && asked.seq <= joinedAt ? { position: asked.seq, state: 'resumed' } : asked.seq
}

/** Whether the log has to be read for what comes after the position that a reader wants. */
export function isInLog({ asked, history }: Wanted, { epoch, joinedAt, floor }: Standing): boolean {
  if (typeof asked !== 'object') return (history?.after ?? joinedAt) < floor
  return (asked.epoch === epoch ? asked.seq : 0) < floor
}

/** How a stream begins by what the log holds after the position that `openAtOnce` gave. */
export function openFrom(page: Page, { asked, history }: Wanted, { epoch, joinedAt }: Standing): Opened {
  const { trimmed } = page
  if (history) {
    if (!trimmed) return { position: history.after, state: 'live' }
    const position = positionBefore(page)
    if (history.vouched) return { position, state: 'live' }
    const from = formatPosition(epoch, history.after)
    return { position, state: 'gap', gap: { reason: 'trimmed', from, to: trimmed.to, exact: false } }
  }
  const { epoch: theirs, seq } = asked as Position
  const from = formatPosition(theirs, seq)
  const position = positionBefore(page)
  if (theirs !== epoch) return { position, state: 'gap', gap: { reason: 'epoch', from, to: position, exact: false } }
  // The log has not reached that position, and the page says nothing about it.
  if (page.scannedTo < seq)
    return { position: joinedAt, state: 'gap', gap: { reason: 'ahead', from, to: joinedAt, exact: false } }
  if (!trimmed) return { position: seq, state: 'resumed' }
  return { position, state: 'gap', gap: { reason: 'trimmed', from, ...trimmed } }
}

/** The position before the first entry of a page, or at its end. */
export function positionBefore({ entries, scannedTo }: Page): number {
  return entries.length > 0 ? entries[0]!.seq - 1 : scannedTo
}
