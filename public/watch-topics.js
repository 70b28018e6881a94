/** Messages that a page begins with. */
const history = 50

/** Watches topics and patterns through the client, whose one stream serves all tabs. Calls the same watcher as `watchDemo`. */
export function watchTopics(hub, topics, watcher) {
  const subscription = hub.subscribe(topics, {
    last: history,
    onEvent({ id, topic, event, data, time }) {
      const at = new Date(time)
      watcher.heard(at.valueOf())
      watcher.entry({ id, topic, text: data, at, name: event === 'message' ? '' : event })
    },
    onGap: watcher.gap,
    onClosed: watcher.closed,
    onState(state) {
      const { name, detail, code } = describe(state)
      watcher.state(name, detail, code, state.state === 'reconnecting' ? Date.now() + state.retryInMs : undefined)
    },
  })
  watcher.state('connecting', '', '')
  return {
    end: () => subscription.close(),
    check() {}, // the client notices by itself that a connection has died
  }
}

function describe({ state, error }) {
  if (state === 'failed') return { name: 'refused', detail: error.message, code: error.code }
  if (state === 'closed') return { name: 'closed', detail: 'Nothing more will arrive here.', code: '' }
  if (state === 'reconnecting') return { name: state, detail: describeLoss(error), code: '' }
  return { name: state, detail: '', code: '' }
}

function describeLoss(error) {
  if (error?.status) return `The server refused: ${error.message}`
  if (error?.code === 'silent') return 'Nothing was heard for a while.'
  return 'The connection was lost.'
}
