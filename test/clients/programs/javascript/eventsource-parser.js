import { setTimeout as pause } from 'node:timers/promises'
import { EventSourceParserStream } from 'eventsource-parser/stream'

let lastEventId = ''
let retry = 3000
for (let isClosed = false; !isClosed; await pause(isClosed ? 0 : retry)) {
  try {
    const headers = { accept: 'text/event-stream', ...(lastEventId && { 'last-event-id': lastEventId }) }
    const response = await fetch(process.argv[2], { headers })
    if (response.status === 204) break
    if (!response.ok) continue
    const parser = new EventSourceParserStream({ onRetry: (ms) => (retry = ms) })
    for await (const { event = 'message', data, id } of response.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(parser)) {
      lastEventId = id ?? lastEventId
      console.log(JSON.stringify({ event, data, id: lastEventId }))
      if (event === 'hub.closed') isClosed = true
    }
  } catch {} // disconnected: reconnect
}
