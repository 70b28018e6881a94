const source = new EventSource(url)
const show = ({ type, data, lastEventId }) => console.log(JSON.stringify({ event: type, data, id: lastEventId }))
for (const name of ['message', 'said', 'hub.open', 'hub.gap', 'hub.closed']) source.addEventListener(name, show)
