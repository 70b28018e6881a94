import { once } from 'node:events'
import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { createApp } from '../app.ts'
import { type Config, parseConfig } from '../config/config.ts'
import { Hub } from '../hub/hub.ts'
import { memoryLog } from '../log/memory.ts'

/** Readers, one after another, each with a topic of its own and this many messages: 2,000 messages in all, which take 0.2 s. */
const READERS = 50
const MESSAGES = 40
/** After this time, on a slow machine, no further reader begins. */
const ENOUGH_MS = 400
/** After this time, on a busy machine, the warm-up has failed. */
const MAX_MS = 2000

/** A server that listens, and its port. */
export interface Listening {
  readonly server: Server
  readonly port: number
}

type Listen = (app: ReturnType<typeof createApp>, config: Config) => Promise<Listening>

/**
 * Runs a hub of its own for a moment, with publishers and readers on real sockets, so that V8 has compiled the code of a publish and of
 * a delivery before the first real message. If the warm-up fails, the server works all the same, with a slower start.
 */
export async function warmUp({ carrier }: Config, listenTo: Listen): Promise<void> {
  const hub = new Hub(memoryLog)
  const config = parseConfig({ PORT: '0', REQUEST_LOG: 'none', CARRIER: carrier })
  try {
    const { server, port } = await listenTo(createApp({ hub, config }), config)
    await exchangeMessages(port).finally(() => {
      server.close()
      server.closeAllConnections()
    })
  } catch {
    // Not reported: there is nothing to repair.
  }
  await hub.close()
}

/** @throws the error of a socket, or an `AbortError` after `MAX_MS` */
async function exchangeMessages(port: number): Promise<void> {
  const began = performance.now()
  const signal = AbortSignal.timeout(MAX_MS)
  const publisher = open(port, signal).resume()
  for (let i = 0; i < READERS && performance.now() - began < ENOUGH_MS; i++) {
    const topic = `warm-up/${i}`
    const reader = open(port, signal)
    reader.write(requestOf('GET', `/event?topic=${topic}`))
    await received(reader, 'event: hub.open', signal)
    publisher.write(Array.from({ length: MESSAGES }, (_, n) => publishOf(topic, n)).join(''))
    await received(reader, `data: ${MESSAGES - 1}`, signal)
    reader.destroy()
  }
  publisher.destroy()
}

function open(port: number, signal: AbortSignal): Socket {
  return connect({ port, host: '127.0.0.1', signal }).on('error', () => {}) // `received` throws it
}

/** Resolves when the socket has received this text. */
async function received(socket: Socket, text: string, signal: AbortSignal): Promise<void> {
  for (let soFar = ''; !soFar.includes(text); ) soFar += (await once(socket, 'data', { signal }))[0]
}

/** A request that publishes, as text and as JSON in turn. */
function publishOf(topic: string, n: number): string {
  const json = { type: 'application/json', body: JSON.stringify({ topic, data: `${n}` }) }
  return n % 2 === 0
    ? requestOf('POST', `/send?topic=${topic}`, { type: 'text/plain', body: `${n}` })
    : requestOf('POST', '/send', json)
}

function requestOf(method: string, path: string, { type, body }: { type?: string; body?: string } = {}): string {
  const content = body !== undefined && `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n`
  return `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${content || ''}\r\n${body ?? ''}`
}
