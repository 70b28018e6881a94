import type { Context } from 'hono'
import { whenGone } from '../client-gone.ts'
import { AppError } from '../errors.ts'
import { chunksOf, cutOff, refuseCompressed, startTimeout, withTimeout } from './bytes.ts'
import { ChunkBuffer } from './chunks.ts'
import { connectionOf } from './connection.ts'

/** Limits of a body that is published while it arrives. */
export interface StreamLimits {
  /** Most items of a body. */
  readonly maxStreamItems: number
  /** Longest time without data. */
  readonly streamIdleMs: number
  /** Longest time for the whole body. */
  readonly maxStreamMs: number
}

/**
 * The body is read ahead until this many bytes are unparsed, also while items wait for their rate: TCP reports the end of a connection
 * only after all data that was sent before.
 */
const READ_AHEAD_BYTES = 64 * 1024

const NOTHING = new Uint8Array()

/**
 * A request's body that is published while it arrives. Its bytes are parsed only when their items are needed. The body ends early when
 * its client disconnects or its time is over.
 */
export class StreamedBody {
  readonly #c: Context
  readonly #limits: StreamLimits
  readonly #stop = new AbortController()
  #chunks: AsyncIterator<Uint8Array> | undefined
  /** `take` takes from `#current`; `#arrived` holds the bytes that follow. */
  #current: Uint8Array = NOTHING
  readonly #arrived = new ChunkBuffer()
  #received = 0
  #isAwaited = false
  #hasBegun = false
  #isComplete = false
  #isClosed = false
  /** `#wakeTaker` ends a wait of `take` for bytes, `#wakeReader` a wait of `#readAhead` for room. */
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

  /** Aborts when no further item of the body may be published. The reason is an AppError: `body_invalid` (cut off), `stream_too_slow`. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** How many bytes have arrived. */
  get received(): number {
    return this.#received
  }

  /** Whether `take` waits for bytes of the client. */
  get isAwaited(): boolean {
    return this.#isAwaited
  }

  /**
   * Waits until bytes have arrived, and takes some of them, in order; resolves with undefined at the end of the body.
   *
   * @param lengthOf returns how many of the given bytes to take, at least one
   * @throws AppError `stream_idle`, and the reason of `signal`
   */
  async take(lengthOf: (bytes: Uint8Array) => number): Promise<Uint8Array | undefined> {
    if (!this.#hasBegun) this.#begin()
    while (this.#current.byteLength === 0) {
      if (this.#arrived.length > 0) this.#current = this.#arrived.take()
      else if (this.#isComplete) return
      else {
        this.signal.throwIfAborted()
        this.#isAwaited = true
        try {
          await this.#arrival()
        } finally {
          this.#isAwaited = false
        }
      }
    }
    this.signal.throwIfAborted()
    const bytes = this.#current
    const length = lengthOf(bytes)
    this.#current = length < bytes.byteLength ? bytes.subarray(length) : NOTHING
    this.#wakeReader()
    return bytes.subarray(0, length)
  }

  /** Stops reading. The rest of the body stays unread. */
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
      this.end(
        new AppError(
          'stream_too_slow',
          `Cannot read a stream for more than ${maxStreamMs} ms: send the rest in another request`,
        ),
      ),
    )
    const { signal } = this.#c.req.raw
    const stopListening = whenGone(signal, () => this.end(cutOff(signal.reason)))
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
        this.#received += value.byteLength
        this.#wakeTaker()
      }
    } catch (cause) {
      this.end(cutOff(cause))
    }
  }

  /** Waits until `take` has taken bytes. The body is not read meanwhile. */
  async #room(): Promise<void> {
    const stopWatching = this.#watchConnection()
    await new Promise<void>((resolve) => {
      this.#wakeReader = resolve
    })
    stopWatching()
  }

  /** Ends the body if the client closes the connection while the body is not read. */
  #watchConnection(): () => void {
    return connectionOf(this.#c)?.whenClosed?.(() => this.end(cutOff('closed'))) ?? (() => {})
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

  /** Ends the body: `take` rejects with the reason. */
  end(reason: AppError): void {
    this.#stop.abort(reason)
    this.#wakeTaker()
    this.#wakeReader()
  }
}
