import { AppError } from '../errors.ts'
import type { Page } from '../log/log.ts'
import type { Controls, GapReason } from './frame.ts'
import { formatPosition, type Position } from './position.ts'
import type { Repeat } from './repeats.ts'

/** Where history begins: after the seq `after`. `vouched`: trimmed entries are no loss, because the reader asked only for kept ones. */
export interface History {
  readonly after: number
  readonly vouched: boolean
}

/** The results of what the hub looks up before it opens a stream. The subscription already follows the log at that time. */
export interface Lookup {
  readonly history?: History
  readonly repeat?: { readonly of: Repeat; readonly everyMs: number }
}

/** Where a reader wants to begin. */
export interface Wanted {
  /** The position that the reader sent: undefined if it sent none, `unknown` if its text is no position of any log. */
  readonly asked: Position | 'unknown' | undefined
  /** The history that the reader asked for, if it sent no position. */
  readonly history?: History | undefined
}

/** The state of the hub when a stream opens. */
export interface Standing {
  readonly epoch: string
  /** The head when the subscription was made. */
  readonly joinedAt: number
  /** Entries after a position below this one have to be read from the log. */
  readonly floor: number
}

/** Entries that cannot be delivered: those after `from`, up to and including `to`. */
export interface Gap {
  readonly reason: GapReason
  readonly from: string | null
  readonly to: number
  readonly exact: boolean
}

/** How a stream begins: its first position, the `state` that `hub.open` reports, and the gap, if there is one. */
export interface Opened {
  readonly position: number
  readonly state: 'live' | 'resumed' | 'gap'
  readonly gap?: Gap
}

/** How a stream begins; or, if the log has to be read first, the position after which to read. */
export function openAtOnce({ asked, history }: Wanted, { epoch, joinedAt, floor }: Standing): Opened | number {
  if (history) return history.after >= floor ? { position: history.after, state: 'live' } : history.after
  if (asked === undefined) return { position: joinedAt, state: 'live' }
  if (asked === 'unknown')
    return { position: joinedAt, state: 'gap', gap: { reason: 'unknown', from: null, to: joinedAt, exact: false } }
  if (asked.epoch !== epoch) return 0
  // Below the window, the log knows which entries are left; above the head, the log knows whether it has reached that position by now.
  return asked.seq >= floor && asked.seq <= joinedAt ? { position: asked.seq, state: 'resumed' } : asked.seq
}

/** Whether the first entries of a stream have to be read from the log. */
export function isInLog({ asked, history }: Wanted, { epoch, joinedAt, floor }: Standing): boolean {
  if (typeof asked !== 'object') return (history?.after ?? joinedAt) < floor
  return (asked.epoch === epoch ? asked.seq : 0) < floor
}

/** How a stream begins, given the page that was read after the position that `openAtOnce` returned. */
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
  // The log has not reached the position that the reader sent.
  if (page.scannedTo < seq)
    return { position: joinedAt, state: 'gap', gap: { reason: 'ahead', from, to: joinedAt, exact: false } }
  if (!trimmed) return { position: seq, state: 'resumed' }
  return { position, state: 'gap', gap: { reason: 'trimmed', from, ...trimmed } }
}

/** The error of a stream without control events that cannot begin where the reader asked. */
export function gapError(gap: Controls['gap']): AppError {
  return new AppError(
    'gap',
    'Cannot deliver all events that you asked for: some are gone, or the position is unknown',
    { more: { gap } },
  )
}

/** The position before the first entry of a page, or the page's end if it has no entries. */
export function positionBefore({ entries, scannedTo }: Page): number {
  return entries.length > 0 ? entries[0]!.seq - 1 : scannedTo
}
