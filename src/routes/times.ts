/** Milliseconds of a unit of time. */
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A time such as `10m` in ms: a whole number and a unit of `UNITS`. */
export function msOf(time: string): number {
  return Number.parseInt(time, 10) * UNITS[time.replace(/^\d+/, '')]!
}

/** A run as JSON: the end of its lease in RFC 3339. */
export function withTimes<Run extends { readonly leaseEnd?: number }>({ leaseEnd, ...run }: Run) {
  return { ...run, ...(leaseEnd !== undefined && { leaseEnd: new Date(leaseEnd).toISOString() }) }
}
