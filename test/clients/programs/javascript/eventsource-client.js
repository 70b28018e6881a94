import { createEventSource } from 'eventsource-client'

const source = createEventSource(process.argv[2])
for await (const { event = 'message', data, id = '' } of source) {
  console.log(JSON.stringify({ event, data, id }))
}
