import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A request of a client for a stream, and what the hub answered. Times are in ms, as `performance.now()` tells them. */
export interface Exchange {
  readonly at: number
  status: number
  /** The answer so far, as it was on the wire. */
  answer: string
  /** When the last byte of the answer came. */
  lastByteAt: number
}

/** Passes connections on to a hub, and records the requests and answers on them. */
export class Tap {
  readonly exchanges: Exchange[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(to: number) {
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#pass(client, to))
  }

  static async to(port: number): Promise<Tap> {
    const tap = new Tap(port)
    tap.#server.listen(0, '127.0.0.1')
    await once(tap.#server, 'listening')
    return tap
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #pass(client: Socket, to: number): void {
    const hub = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true })
    let head = ''
    let exchange: Exchange | undefined
    client.on('data', (bytes) => {
      head += bytes.toString('latin1')
      // Clients send no bodies.
      for (let length = head.indexOf('\r\n\r\n'); length >= 0; length = head.indexOf('\r\n\r\n')) {
        const isStream = / \S*\/event\?/.test(head.slice(0, head.indexOf('\r\n')))
        head = head.slice(length + 4)
        if (!isStream) continue // a file of the page
        const at = performance.now()
        exchange = { at, status: 0, answer: '', lastByteAt: at }
        this.exchanges.push(exchange)
      }
    })
    hub.on('data', (bytes) => {
      if (!exchange) return
      exchange.answer += bytes.toString('latin1')
      exchange.status ||= Number(/^HTTP\/1\.1 (\d+)/.exec(exchange.answer)?.[1] ?? 0)
      exchange.lastByteAt = performance.now()
    })
    for (const [socket, other] of [
      [client, hub],
      [hub, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.pipe(other)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
  }
}

/** The reconnection time that an answer told last, in ms. */
export function toldMs({ answer }: Exchange): number | undefined {
  const told = [...answer.matchAll(/^retry: (\d+)\r?$/gm)].at(-1)?.[1]
  return told === undefined ? undefined : Number(told)
}

/** How long a client waited before each of its returns, as a part of the time that it was told. */
export function waits(exchanges: readonly Exchange[]): number[] {
  return exchanges.slice(1).flatMap(({ at }, i) => {
    const before = exchanges[i]!
    const told = toldMs(before)
    return told === undefined ? [] : [(at - before.lastByteAt) / told]
  })
}
