import { EventSource } from 'extended-eventsource'

const source = new EventSource(process.argv[2])
const show = ({ type, data, lastEventId }) => console.log(JSON.stringify({ event: type, data, id: lastEventId }))
for (const name of ['message', 'said', 'hub.open', 'hub.gap', 'hub.closed']) source.addEventListener(name, show)
