import { connect, type Socket } from 'node:net'
import { Reader } from '../reader.ts'

export interface StreamOptions {
  readonly lastEventId?: string | undefined
  /** What to write in place of the whole request. */
  readonly sent?: string | Uint8Array
  /** Takes the body's bytes as they arrive, in place of the reader. */
  readonly take?: (bytes: Uint8Array) => void
}

/** `GET path` over a bare socket, so that a test can end it in any way and see how the other side ended it. */
export class Stream {
  readonly socket: Socket
  readonly reader = new Reader()
  status = 0
  /** Whether the body is complete: its last chunk of no bytes has arrived, or without framing the connection has ended. */
  ended = false
  closed = false
  readonly #take: (bytes: Uint8Array) => void
  readonly #waiting = new Set<() => void>()
  #rest: Buffer = Buffer.alloc(0)
  #isChunked = true
  /** The bytes of the body that are still missing, if its length is known. */
  #left = Number.POSITIVE_INFINITY

  constructor(port: number, path: string, { lastEventId, sent, take }: StreamOptions = {}) {
    this.#take = take ?? ((bytes) => this.reader.feed(bytes))
    this.socket = connect(port, '127.0.0.1')
    this.socket.write(sent ?? request('GET', path, lastEventId))
    this.socket.on('data', (data) => {
      const bytes = data as Buffer // a socket without an encoding emits no strings
      this.#rest = this.#rest.byteLength === 0 ? bytes : Buffer.concat([this.#rest, bytes])
      if (this.status > 0 || this.#takeHead()) this.#takeBody()
      this.#tell()
    })
    this.socket.on('end', () => {
      this.ended ||= this.status > 0 && !this.#isChunked
    })
    this.socket.on('error', () => {}) // `close` follows, and what arrived before it counts
    this.socket.on('close', () => {
      this.closed = true
      this.#tell()
    })
  }

  /** Resolves when the condition holds; rejects when the connection has closed and it does not hold. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const now = holds()
        if (!now && !this.closed) return
        this.#waiting.delete(look)
        if (now) resolve()
        else reject(new Error(`Closed after status ${this.status} and: …${this.reader.text.slice(-200)}`))
      }
      this.#waiting.add(look)
      look()
    })
  }

  gone(): Promise<void> {
    return this.until(() => this.closed)
  }

  #tell(): void {
    for (const look of this.#waiting) look()
  }

  #takeHead(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end < 0) return false
    this.status = Number(this.#rest.toString('latin1', 9, 12))
    const head = this.#rest.toString('latin1', 0, end)
    this.#isChunked = /\r\ntransfer-encoding:/i.test(head)
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? this.#left)
    this.#rest = this.#rest.subarray(end + 4)
    return true
  }

  #takeBody(): void {
    if (this.#isChunked) {
      while (this.#takeChunk());
      return
    }
    const bytes = this.#rest
    this.#rest = Buffer.alloc(0)
    if (bytes.byteLength > 0) this.#take(bytes)
    this.#left -= bytes.byteLength
    this.ended ||= this.#left <= 0
  }

  #takeChunk(): boolean {
    const line = this.#rest.indexOf('\r\n')
    if (line < 0) return false
    const size = Number.parseInt(this.#rest.toString('latin1', 0, line), 16)
    const next = line + 2 + size + 2
    if (this.#rest.byteLength < next) return false
    if (size === 0) this.ended = true
    else this.#take(this.#rest.subarray(line + 2, line + 2 + size))
    this.#rest = this.#rest.subarray(next)
    return true
  }
}

export function request(method: string, path: string, lastEventId?: string): string {
  const resume = lastEventId === undefined ? '' : `Last-Event-ID: ${lastEventId}\r\n`
  return `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n${resume}\r\n`
}
