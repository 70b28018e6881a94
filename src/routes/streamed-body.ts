import type { Context } from 'hono'
import { whenGone } from '../client-gone.ts'
import { AppError } from '../errors.ts'
import { chunksOf, cutOff, refuseCompressed, startTimeout, withTimeout } from './bytes.ts'
import { ChunkBuffer } from './chunks.ts'
import { connectionOf } from './connection.ts'

/** Limits of a body that is read while it arrives. */
export interface StreamLimits {
  /** Most items. */
  readonly maxStreamItems: number
  /** Longest silence. */
  readonly streamIdleMs: number
  /** Longest time for the whole body. */
  readonly maxStreamMs: number
}

/**
 * While fewer bytes than this are unparsed, reading goes on, also while items wait for their rate: TCP delivers the end of a connection
 * behind everything that was sent before it.
 */
const READ_AHEAD_BYTES = 64 * 1024

const NOTHING = new Uint8Array()

/**
 * A request's body that is published while it arrives. It stays bytes until its items are needed, and it ends early when its client
 * disconnects or its time is over.
 */
export class StreamedBody {
  readonly #c: Context
  readonly #limits: StreamLimits
  readonly #stop = new AbortController()
  #chunks: AsyncIterator<Uint8Array> | undefined
  /** The bytes that `take` takes from, and the bytes behind them. */
  #current: Uint8Array = NOTHING
  readonly #arrived = new ChunkBuffer()
  #hasBegun = false
  #isComplete = false
  #isClosed = false
  /** Ends a wait of `take` for bytes, and a wait of `#readAhead` for room. */
  #wakeTaker = () => {}
  #wakeReader = () => {}
  #stopWatching = () => {}
  #stopWatchingConnection = () => {}

  /** @throws AppError `content_type_unsupported` (compressed) */
  constructor(c: Context, limits: StreamLimits) {
    refuseCompressed(c.req.raw)
    this.#c = c
    this.#limits = limits
  }

  /** Aborts when nothing more of the body may be published. The reason is an AppError: `body_invalid` (cut off) or `stream_too_slow`. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /**
   * Takes bytes in order, once some have arrived; resolves with nothing at the end of the body.
   *
   * @param lengthOf says how many of the bytes to take, at least one
   * @throws AppError `stream_idle`, and the reason of `signal`
   */
  async take(lengthOf: (bytes: Uint8Array) => number): Promise<Uint8Array | undefined> {
    if (!this.#hasBegun) this.#begin()
    while (this.#current.byteLength === 0) {
      if (this.#arrived.length > 0) this.#current = this.#arrived.take()
      else if (this.#isComplete) return
      else {
        this.signal.throwIfAborted()
        await this.#arrival()
      }
    }
    this.signal.throwIfAborted()
    const bytes = this.#current
    const length = lengthOf(bytes)
    this.#current = length < bytes.byteLength ? bytes.subarray(length) : NOTHING
    this.#wakeReader()
    return bytes.subarray(0, length)
  }

  /** Stops reading. The unread rest stays unread. */
  close(): void {
    this.#isClosed = true
    this.#stopWatching()
    this.#stopWatchingConnection()
    this.#wakeReader()
    this.#chunks?.return?.()
  }

  #begin(): void {
    this.#hasBegun = true
    const { maxStreamMs } = this.#limits
    const cancelTimeout = startTimeout(maxStreamMs, () =>
      this.#end(
        new AppError(
          'stream_too_slow',
          `Cannot read a stream for more than ${maxStreamMs} ms: send the rest in another request`,
        ),
      ),
    )
    const { signal } = this.#c.req.raw
    const stopListening = whenGone(signal, () => this.#end(cutOff(signal.reason)))
    this.#stopWatching = () => {
      cancelTimeout()
      stopListening()
    }
    this.#chunks = chunksOf(this.#c)
    if (this.#chunks) void this.#readAhead(this.#chunks)
    else this.#isComplete = true
  }

  async #readAhead(chunks: AsyncIterator<Uint8Array>): Promise<void> {
    try {
      for (;;) {
        while (this.#isFull) await this.#room()
        if (this.signal.aborted || this.#isClosed) return
        const { done, value } = await chunks.next()
        if (this.#isClosed) return
        if (done) {
          this.#isComplete = true
          this.#wakeTaker()
          this.#stopWatchingConnection = this.#watchConnection()
          return
        }
        this.#arrived.push(value)
        this.#wakeTaker()
      }
    } catch (cause) {
      this.#end(cutOff(cause))
    }
  }

  /** Waits until bytes have been taken. Nothing is read meanwhile. */
  async #room(): Promise<void> {
    const stopWatching = this.#watchConnection()
    await new Promise<void>((resolve) => {
      this.#wakeReader = resolve
    })
    stopWatching()
  }

  /** Ends the body when the client closes the connection while nothing is read. */
  #watchConnection(): () => void {
    return connectionOf(this.#c)?.whenClosed?.(() => this.#end(cutOff('closed'))) ?? (() => {})
  }

  get #isFull(): boolean {
    const unparsed = this.#current.byteLength + this.#arrived.length
    return unparsed >= READ_AHEAD_BYTES && !this.#isClosed && !this.signal.aborted
  }

  #arrival(): Promise<void> {
    const { streamIdleMs } = this.#limits
    const arrival = new Promise<void>((resolve) => {
      this.#wakeTaker = resolve
    })
    return withTimeout(
      arrival,
      streamIdleMs,
      () => new AppError('stream_idle', `Cannot wait for more of the stream: no data arrived for ${streamIdleMs} ms`),
    )
  }

  #end(reason: AppError): void {
    this.#stop.abort(reason)
    this.#wakeTaker()
    this.#wakeReader()
  }
}
