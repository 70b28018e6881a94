import { SSE } from '/packages/sse.js/lib/sse.js'

const options = { autoReconnect: true }
options.headers = { Accept: 'text/event-stream' } // needed
const source = new SSE(url, options)
const show = ({ type, data, lastEventId }) => console.log(JSON.stringify({ event: type, data, id: lastEventId }))
for (const name of ['message', 'said', 'hub.open', 'hub.gap', 'hub.closed']) source.addEventListener(name, show)
source.addEventListener('hub.closed', () => source.close()) // needed
source.addEventListener('open', ({ responseCode }) => responseCode === 204 && source.close()) // needed
