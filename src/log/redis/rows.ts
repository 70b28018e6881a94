import type { Entry, Page } from '../log.ts'
import { lossAfter } from '../rules.ts'
import { parseOutcome } from '../run-rules.ts'

/** An entry in a script's reply. */
export type Row = readonly [
  seq: number,
  time: number,
  topic: string,
  data: string | null,
  event: string | null,
  retry: string | null,
  close: string | null,
  outcome: string | null,
]

/** One element of a stream: its id, and a flat list of field names and values. */
export type StreamElement = readonly [id: string, fields: readonly string[]]

export function entryOfRow([seq, time, topic, data, event, retry, close, outcome]: Row): Entry {
  return {
    topic,
    ...(data !== null && { data }),
    ...(event !== null && { event }),
    ...(retry !== null && { retry: Number(retry) }),
    ...(close !== null && { close: true as const }),
    ...(outcome !== null && parseOutcome(outcome)),
    seq,
    time,
  }
}

/** An entry of `:log`, whose id is `<seq>-<tag>`. */
export function entryOfElement([id, fields]: StreamElement): Entry {
  const { m, t, d = null, e = null, r = null, c = null, o = null } = fieldsOf(fields)
  return entryOfRow([Number(id.slice(0, id.indexOf('-'))), Number(m), t!, d, e, r, c, o])
}

/** The tag of the epoch that an element of `:log` was appended in. */
export function tagOfElement([id]: StreamElement): number {
  return Number(id.slice(id.indexOf('-') + 1))
}

/** An erasure of the entry `seq`; or, if `seq` is undefined, of all entries of a topic up to `upTo`. */
export interface Erasure {
  /** Rises by 1 with each erasure. */
  readonly number: number
  readonly topic: string
  readonly seq: number | undefined
  readonly upTo: number
}

/** An element of `:erased`. */
export function erasureOfElement([, fields]: StreamElement): Erasure {
  const { n, t, s, u, h } = fieldsOf(fields)
  // Nodes of an older version write `h`, the head, in place of `u`.
  return { number: Number(n), topic: t!, seq: s === '' ? undefined : Number(s), upTo: Number(u ?? h) }
}

/** Pairs the names and values of a flat list. */
export function fieldsOf(flat: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (let i = 0; i < flat.length; i += 2) fields[flat[i]!] = flat[i + 1]!
  return fields
}

interface Trims {
  /** The seq after which the page begins. */
  readonly after: number
  readonly head: number
  /** Up to this seq nobody knows any more which topics were trimmed. */
  readonly floor: number
  /** The last seq that was trimmed from the topics of the page; 0 for none. */
  readonly trimmedTo: number
}

/** The page, with `trimmed` if entries after the requested seq were trimmed or may have been trimmed. */
export function withTrimmed(page: Page, { after, head, floor, trimmedTo }: Trims): Page {
  const trimmed = lossAfter(after, trimmedTo, { head, floor })
  return trimmed ? { ...page, trimmed } : page
}
