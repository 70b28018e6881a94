import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** One after another, each of a topic of its own: two thousand messages in all, which take 0.2 s. */
const READERS = 50
const MESSAGES = 40
/** On a slow machine it stops after so long. */
const ENOUGH_MS = 400
/** On one that is so busy it has failed. */
const MAX_MS = 2000

/**
 * Plays publishers and readers to a hub that nobody else knows, over its sockets, so that V8 has compiled what a publish and a
 * delivery go through before the first of them is somebody's.
 *
 * @param port where that hub listens, on 127.0.0.1
 * @throws what a socket says, or a `TimeoutError` after two seconds
 */
export async function rehearse(port: number): Promise<void> {
  const began = performance.now()
  const signal = AbortSignal.timeout(MAX_MS)
  const publisher = open(port, signal).resume()
  for (let i = 0; i < READERS && performance.now() - began < ENOUGH_MS; i++) {
    const topic = `rehearsal/${i}`
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
