import { connect, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'

/** The bytes read last and their messages: readers of one topic mostly get the same bytes, and comparing is cheaper than parsing. */
let known: Read & { readonly bytes: Buffer } = { bytes: Buffer.alloc(0), messages: [], rest: '', id: '' }

interface Read {
  /** The number of each message, and its seq at the server. */
  readonly messages: readonly (readonly [number: number, place: number])[]
  /** The last id of any event, and the incomplete rest. */
  readonly id: string
  readonly rest: string
}

/** A message with its id after or before its data, which may be in an envelope. */
const MESSAGE = /^(?:id: \S*?(\d+)\n)?data: (?:\{"topic":[^\n]*?"data":")?(\d+) [^\n]*\n(?:id: \S*?(\d+)\n)?/gm

/**
 * A reader that parses only what counting needs: `data: <number> …` with its `id:`, which rises. It ignores the lines of HTTP
 * chunks like any other unknown line.
 */
export class ReaderSocket {
  isOpen = false
  /** Why the connection was closed, if not by `leave`. */
  why: string | undefined
  lastId = ''
  wrong = 0
  readonly #socket: Socket
  readonly #took: (number: number) => void
  #last = -1
  #rest = ''

  /** @param took called with the number of every message */
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
    else this.#note(known)
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
    const messages = Array.from(
      whole.matchAll(MESSAGE),
      ([, before, number, behind]) => [Number(number), Number(before ?? behind)] as const,
    )
    const at = whole.lastIndexOf('id: ')
    const id = at < 0 ? '' : whole.slice(at + 4, whole.indexOf('\n', at))
    const rest = end > 1 ? text.slice(end) : text
    const read = { messages, rest, id }
    if (this.#rest === '') known = { bytes, ...read }
    this.#note(read)
  }

  #note({ messages, rest, id }: Read): void {
    this.#rest = rest
    if (id !== '') this.lastId = id
    for (const [number, place] of messages) {
      if (place <= this.#last) this.wrong++
      this.#last = place
      this.#took(number)
    }
  }
}
