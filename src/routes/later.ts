import { encodeBareEnding, encodeEnding } from '../hub/frame.ts'
import { jitter } from '../hub/random.ts'
import { type Negotiated, negotiate } from './accept.ts'

/** Longest time in ms after which a reader is told to come back. The shortest is half of it. */
const LATER_MS = 6000

/** The headers of every stream. */
export const streamHeaders = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  Vary: 'Accept',
}

/** Chooses between a stream and a poll's JSON. */
export function preferred(accept: string | undefined): Negotiated<'text/event-stream' | 'application/json'> {
  return negotiate(accept, ['text/event-stream', 'application/json'])
}

/** What a client has asked for that gets no stream now. */
interface Refused {
  readonly accept: string | undefined
  readonly isDemo: boolean
  /** Whether the client takes control events. One that does not would take the answer for an empty stream. */
  readonly control: boolean
}

/**
 * The whole body of a stream that only says when to come back, in the place of a temporary error: any status but 200 ends a browser's
 * EventSource for good. Undefined for clients that have not named event streams in `Accept`, or take no control events: they get the error.
 */
export function laterBody({ accept, isDemo, control }: Refused): Uint8Array<ArrayBuffer> | undefined {
  const { type, isNamed } = preferred(accept)
  if (!control || type !== 'text/event-stream' || !isNamed) return
  return (isDemo ? encodeBareEnding : encodeEnding)(jitter(LATER_MS)) as Uint8Array<ArrayBuffer>
}
