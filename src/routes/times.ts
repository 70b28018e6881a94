/** A run as JSON: the end of its lease in RFC 3339. */
export function withTimes<Run extends { readonly leaseEnd?: number }>({ leaseEnd, ...run }: Run) {
  return { ...run, ...(leaseEnd !== undefined && { leaseEnd: new Date(leaseEnd).toISOString() }) }
}
