import { EventSource } from 'undici'

const source = new EventSource(process.argv[2])
const show = ({ type, data, lastEventId }) => console.log(JSON.stringify({ event: type, data, id: lastEventId }))
for (const name of ['message', 'said', 'hub.open', 'hub.gap', 'hub.closed']) source.addEventListener(name, show)
setInterval(() => {}, 60_000) // the client keeps no program alive while it waits to reconnect
