import type { Entry, Page } from '../log.ts'

/** An entry as a script gives it. */
export type Row = readonly [
  seq: number,
  time: number,
  topic: string,
  data: string | null,
  event: string | null,
  retry: string | null,
  close: string | null,
]

export function entryOf([seq, time, topic, data, event, retry, close]: Row): Entry {
  return {
    topic,
    ...(data !== null && { data }),
    ...(event !== null && { event }),
    ...(retry !== null && { retry: Number(retry) }),
    ...(close !== null && { close: true as const }),
    seq,
    time,
  }
}

/** An entry as the stream gives it. */
export function streamed(id: string, fields: readonly string[]): Entry {
  const { m, t, d, e, r, c } = streamedPairs(fields)
  return entryOf([Number(id.slice(0, id.indexOf('-'))), Number(m), t!, d ?? null, e ?? null, r ?? null, c ?? null])
}

/** What a list of names and values says. */
export function streamedPairs(flat: readonly string[]): Record<string, string> {
  const pairs: Record<string, string> = {}
  for (let i = 0; i < flat.length; i += 2) pairs[flat[i]!] = flat[i + 1]!
  return pairs
}

interface Losses {
  readonly after: number
  readonly head: number
  readonly floor: number
  /** The last trimmed seq of what is asked for. */
  readonly to: number
}

/** A page, and what is not in it because it is gone. */
export function withLosses(page: Page, { after, head, floor, to }: Losses): Page {
  const isExact = after >= floor
  if (isExact && to <= after) return page
  return { ...page, trimmed: isExact ? { to, exact: true } : { to: head, exact: false } }
}
