import type { EndReason } from './events.ts'
import { encodeBareEnding, encodeEnding } from './frame.ts'
import { jitter } from './random.ts'

/** When readers return whose topics are all closed. Some clients do not stop at the 204 that they get then, and return again and again. */
const COMPLETE_RETRY_MS = 60_000

/** How a stream ends: it sends what is due up to a seq, then its last bytes, and the read after these ends it. */
export class Ending {
  readonly why: EndReason
  readonly #retryMs: number
  readonly #lastSeq: number
  #areLastBytesGiven = false

  /** @param retryMs when the client has to reconnect @param lastSeq the stream sends what is due up to this seq; 0 ends it at once */
  constructor(why: EndReason, retryMs: number, lastSeq: number) {
    this.why = why
    this.#retryMs = retryMs
    this.#lastSeq = lastSeq
  }

  /** The end of a stream whose topics are all closed. */
  static complete(): Ending {
    return new Ending('complete', jitter(COMPLETE_RETRY_MS), 0)
  }

  /** Whether the stream ends without sending what is due. */
  get isAtOnce(): boolean {
    return this.#lastSeq === 0
  }

  /** Whether everything is sent that has to be sent before the last bytes. */
  isDue(position: number): boolean {
    return position >= this.#lastSeq
  }

  /** Whether the next read ends the stream. */
  get areLastBytesGiven(): boolean {
    return this.#areLastBytesGiven
  }

  /** The last bytes of the stream. @param isBare whether the stream has no `hub.ending` */
  giveLastBytes(isBare: boolean): Uint8Array {
    this.#areLastBytesGiven = true
    return isBare ? encodeBareEnding(this.#retryMs) : encodeEnding(this.#retryMs)
  }
}

/**
 * Whether a stream that has ended leaves its client with a part. Without control events the client learns only that the body ended, and takes
 * any clean end for the end of the whole.
 *
 * @param isWhole whether all its topics that have ended have ended as `done`
 */
export function isPart(endedBy: EndReason, hasControl: boolean, isWhole: boolean): boolean {
  if (endedBy === 'complete') return !hasControl && !isWhole
  return endedBy === 'stalled' || !hasControl
}
