import { fetchEventSource } from '@microsoft/fetch-event-source'

Object.assign(globalThis, { window: globalThis, document: new EventTarget() }) // made for pages
const stop = new AbortController() // needed
await fetchEventSource(process.argv[2], {
  openWhenHidden: true,
  onmessage({ event, data, id }) {
    console.log(JSON.stringify({ event: event || 'message', data, id }))
    if (event === 'hub.closed') stop.abort() // needed
  },
  signal: stop.signal, // needed
  onopen: async ({ status }) => status === 204 && stop.abort(), // needed
  onclose() { throw new Error('reconnect') }, // needed
})
