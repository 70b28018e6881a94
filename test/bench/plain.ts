/**
 * The yardstick: an SSE broadcaster of forty lines on `node:http`, without history or authentication, which writes each message to
 * each reader. `GET /event?topic=` subscribes, `POST /send?topic=` with a text publishes. Prints its port when it listens.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const readers = new Map<string, Set<ServerResponse>>()
let seq = 0

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url!, 'http://localhost')
  const topic = searchParams.get('topic') ?? ''
  const all = readers.get(topic) ?? new Set()
  readers.set(topic, all)
  if (pathname === '/event') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write('retry: 3000\n\n')
    all.add(response)
    response.on('close', () => all.delete(response))
    return
  }
  let text = ''
  request
    .setEncoding('utf8')
    .on('data', (part) => {
      text += part
    })
    .on('end', () => {
      const frame = `id: ${++seq}\ndata: ${text}\n\n`
      for (const reader of all) reader.write(frame)
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ id: `${seq}`, topic }))
    })
})

server.listen(0, '127.0.0.1', () => console.log(`plain listens on ${(server.address() as AddressInfo).port}`))
