/** Most chunks whose framed bytes are kept. Readers that share a chunk get it within the same turns of the event loop. */
const MAX_KEPT = 64

const CRLF = '\r\n'

/**
 * Frames chunks by the chunked transfer coding of HTTP/1.1 (RFC 9112, 7.1): each time a hexadecimal length, the bytes, and the line ends
 * around them. A chunk that many readers share is framed once. One buffer for all three parts costs less than a `writev` of three, which
 * every reader would pay for (measured).
 */
export class ChunkedCoding {
  /** Replaced every `MAX_KEPT` chunks, because the window holds on to many chunks for longer than their framed bytes are needed. */
  #framed = new WeakMap<Uint8Array, Uint8Array>()
  #kept = 0

  frame(bytes: Uint8Array): Uint8Array {
    const known = this.#framed.get(bytes)
    if (known) return known
    const framed = frame(bytes)
    if (this.#kept++ >= MAX_KEPT) {
      this.#framed = new WeakMap()
      this.#kept = 1
    }
    this.#framed.set(bytes, framed)
    return framed
  }
}

function frame(bytes: Uint8Array): Uint8Array {
  const size = bytes.byteLength.toString(16) + CRLF
  const framed = Buffer.allocUnsafeSlow(size.length + bytes.byteLength + CRLF.length)
  framed.write(size, 'latin1')
  framed.set(bytes, size.length)
  framed.write(CRLF, size.length + bytes.byteLength, 'latin1')
  return framed
}
