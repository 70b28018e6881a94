/** A position in a log: after the entry `seq` of the epoch `epoch`. Clients see it as the SSE `id` and send it as `Last-Event-ID`. */
export interface Position {
  readonly epoch: string
  readonly seq: number
}

const POSITION = /^([A-Za-z0-9._~]{1,40})-(0|[1-9]\d{0,15})$/

/** `<epoch>-<seq>`: at most 64 bytes of `[A-Za-z0-9._~-]`, so that no browser sends a preflight because of it. */
export function formatPosition(epoch: string, seq: number): string {
  return `${epoch}-${seq}`
}

/** Parses a position that a client sent. Returns undefined for a text that no log can have made. */
export function parsePosition(text: string): Position | undefined {
  const found = POSITION.exec(text)
  if (!found) return
  const seq = Number(found[2])
  return Number.isSafeInteger(seq) ? { epoch: found[1]!, seq } : undefined
}
