import type { Entry } from '../log/log.ts'
import type { OutcomeName } from '../log/runs.ts'
import type { GapReason } from './frame.ts'
import type { Gap } from './opening.ts'

/**
 * An entry as a program gets it.
 *
 * @example
 * const said: DeliveredEntry[] = []
 * for await (const item of hub.entries('chat', { until: 'now' })) if (item.kind === 'entry') said.push(item)
 */
export interface DeliveredEntry {
  readonly kind: 'entry'
  /** The position: pass it as `after` to continue behind this entry. */
  readonly id: string
  readonly topic: string
  /** `message`, unless the publisher has named another. */
  readonly event: string
  /** Missing only in an entry that closes its topic. */
  readonly data?: string
  /** In ms since 1970. */
  readonly time: number
  readonly retry?: number
  /** Whether this entry closes its topic. */
  readonly close?: true
  /** How the topic ended, and for `failed` why. Missing in an entry that does not close its topic. */
  readonly outcome?: OutcomeName
  readonly detail?: string
}

/**
 * Entries that cannot be delivered any more. The next item is the first entry after them.
 *
 * @example
 * const report = ({ reason, from, to }: DeliveredGap) => console.warn(`Lost from ${from} to ${to}: ${reason}`)
 * for await (const item of hub.entries('chat', { after: 'abcdefghij-7' })) if (item.kind === 'gap') report(item)
 */
export interface DeliveredGap {
  readonly kind: 'gap'
  /** The position before the first entry that is still to come. */
  readonly id: string
  readonly reason: GapReason
  /** The position after which entries are missing; null if `after` was no position. */
  readonly from: string | null
  /** The position up to which entries are missing. */
  readonly to: string
  /** Whether an entry of these topics is certainly missing. */
  readonly exact: boolean
}

/**
 * An item of `Hub.entries`.
 *
 * @example
 * const show = (item: Delivered) => console.log(item.kind === 'entry' ? item.data : item.reason)
 */
export type Delivered = DeliveredEntry | DeliveredGap

/** @param id the position of the entry */
export function delivered(entry: Entry, id: string): DeliveredEntry {
  const { topic, event = 'message', data, time, retry, close, outcome = 'done', detail } = entry
  return {
    ...{ kind: 'entry', id, topic, event, time },
    ...(data !== undefined && { data }),
    ...(retry !== undefined && { retry }),
    ...(close && { close, outcome }),
    ...(detail !== undefined && { detail }),
  } as DeliveredEntry
}

/** @param position where the iteration goes on. @param id names a position of the log */
export function gapOf({ reason, from, to, exact }: Gap, position: number, id: (seq: number) => string): DeliveredGap {
  return { kind: 'gap', id: id(position), reason, from, to: id(to), exact }
}
