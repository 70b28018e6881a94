import { EventSourcePlus } from 'event-source-plus'

const source = new EventSourcePlus(process.argv[2])
const controller = source.listen({
  onMessage({ event, data, id = '' }) {
    console.log(JSON.stringify({ event, data, id }))
    if (event === 'hub.closed') controller.abort() // needed
  },
  onResponse: ({ response }) => response.status === 204 && controller.abort(), // needed
})
