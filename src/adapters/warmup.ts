import { once } from 'node:events'
import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { createApp } from '../app.ts'
import { type Config, parseConfig } from '../config/config.ts'
import { Hub } from '../hub/hub.ts'
import { memoryLog } from '../log/memory.ts'

/** One after another, each of a topic of its own: two thousand messages in all, which take 0.2 s. */
const READERS = 50
const MESSAGES = 40
/** On a slow machine it stops after so long. */
const ENOUGH_MS = 400
/** On one that is so busy it has failed. */
const MAX_MS = 2000

/** A server that listens, and where. */
export interface Listening {
  readonly server: Server
  readonly port: number
}

type Listen = (app: ReturnType<typeof createApp>, config: Config) => Promise<Listening>

/**
 * Lets a hub of its own live for a moment, and plays publishers and readers to it over its sockets, so that V8 has compiled what a
 * publish and a delivery go through before the first of them is somebody's. A server that cannot do it is as good, and cold.
 */
export async function warmUp({ carrier }: Config, listenTo: Listen): Promise<void> {
  const hub = new Hub(memoryLog)
  const config = parseConfig({ PORT: '0', REQUEST_LOG: 'none', CARRIER: carrier })
  try {
    const { server, port } = await listenTo(createApp({ hub, config }), config)
    await play(port).finally(() => {
      server.close()
      server.closeAllConnections()
    })
  } catch {
    // Nobody is told: it is not theirs to mend.
  }
  await hub.close()
}

/** @throws what a socket says, or an `AbortError` after `MAX_MS` */
async function play(port: number): Promise<void> {
  const began = performance.now()
  const signal = AbortSignal.timeout(MAX_MS)
  const publisher = open(port, signal).resume()
  for (let i = 0; i < READERS && performance.now() - began < ENOUGH_MS; i++) {
    const topic = `warm-up/${i}`
    const reader = open(port, signal)
    reader.write(ask('GET', `/event?topic=${topic}`))
    await until(reader, 'event: hub.open', signal)
    publisher.write(Array.from({ length: MESSAGES }, (_, n) => publish(topic, n)).join(''))
    await until(reader, `data: ${MESSAGES - 1}`, signal)
    reader.destroy()
  }
  publisher.destroy()
}

function open(port: number, signal: AbortSignal): Socket {
  return connect({ port, host: '127.0.0.1', signal }).on('error', () => {}) // of which `until` tells
}

/** Reads until this was said. */
async function until(socket: Socket, text: string, signal: AbortSignal): Promise<void> {
  for (let said = ''; !said.includes(text); ) said += (await once(socket, 'data', { signal }))[0]
}

/** As text and as JSON in turn. */
function publish(topic: string, n: number): string {
  const json = { type: 'application/json', body: JSON.stringify({ topic, data: `${n}` }) }
  return n % 2 === 0
    ? ask('POST', `/send?topic=${topic}`, { type: 'text/plain', body: `${n}` })
    : ask('POST', '/send', json)
}

function ask(method: string, path: string, { type, body }: { type?: string; body?: string } = {}): string {
  const content = body !== undefined && `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n`
  return `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${content || ''}\r\n${body ?? ''}`
}
