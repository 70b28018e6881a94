import { connect, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'

/** What was in the bytes that came last: readers of one topic mostly get the same, and comparing is cheaper than reading. */
let known: { readonly bytes: Buffer; readonly numbers: readonly number[]; readonly rest: string; readonly id: string } =
  {
    bytes: Buffer.alloc(0),
    numbers: [],
    rest: '',
    id: '',
  }

/**
 * A reader that reads no more of SSE than a count needs: `data: <number> …`, in order, and the last `id:`. It knows nothing of
 * chunks of HTTP, whose lines are passed over as any that say nothing.
 */
export class ReaderSocket {
  isOpen = false
  /** Why it was closed, if not by us. */
  why: string | undefined
  lastId = ''
  wrong = 0
  readonly #socket: Socket
  readonly #took: (number: number) => void
  #last = -1
  #rest = ''

  /** @param took is told of every message */
  constructor(url: string, path: string, took: (number: number) => void, lastId = '') {
    const { hostname, port, protocol, host } = new URL(url)
    const isTls = protocol === 'https:'
    const at = { host: hostname, port: Number(port) || (isTls ? 443 : 80), servername: hostname }
    this.#took = took
    this.lastId = lastId
    this.#socket = isTls ? tlsConnect(at) : connect(at)
    const resume = lastId === '' ? '' : `Last-Event-ID: ${lastId}\r\n`
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n${resume}\r\n`)
    this.#socket.on('data', (bytes) => this.#take(bytes as Buffer))
    this.#socket.on('error', (error) => {
      this.why ??= error.message
    })
    this.#socket.on('close', () => {
      this.why ??= 'the connection was closed'
    })
  }

  leave(): void {
    this.#socket.destroy()
  }

  #take(bytes: Buffer): void {
    if (!this.isOpen) this.#takeHead(bytes)
    else if (this.#rest !== '' || !known.bytes.equals(bytes)) this.#read(bytes)
    else this.#note(known.numbers, known.rest, known.id)
  }

  #takeHead(bytes: Buffer): void {
    this.#rest += bytes.toString('latin1')
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end < 0) return
    if (!this.#rest.startsWith('HTTP/1.1 200')) this.why = this.#rest.slice(0, 60)
    this.isOpen = true
    const body = this.#rest.slice(end + 4)
    this.#rest = ''
    this.#read(Buffer.from(body, 'latin1'))
  }

  #read(bytes: Buffer): void {
    const text = this.#rest + bytes.toString('latin1')
    const end = text.lastIndexOf('\n\n') + 2
    const whole = text.slice(0, Math.max(end, 0))
    const numbers: number[] = []
    for (const [, number] of whole.matchAll(/^data: (\d+) /gm)) numbers.push(Number(number))
    const at = whole.lastIndexOf('id: ')
    const id = at < 0 ? '' : whole.slice(at + 4, whole.indexOf('\n', at))
    const rest = end > 1 ? text.slice(end) : text
    if (this.#rest === '') known = { bytes, numbers, rest, id }
    this.#note(numbers, rest, id)
  }

  #note(numbers: readonly number[], rest: string, id: string): void {
    this.#rest = rest
    if (id !== '') this.lastId = id
    for (const number of numbers) {
      if (number <= this.#last) this.wrong++
      this.#last = number
      this.#took(number)
    }
  }
}
