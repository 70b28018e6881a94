import { readDemo, readNotice, readTopic } from './entry.js'
import { readRefusal } from './refusal.js'
import { eventAddress, isPattern } from './topics.js'

/** Milliseconds of silence after which a stream is taken for dead. Heartbeats are comments, which EventSource does not report. */
const silenceLimit = 45_000

/** Random, so that the readers of a restarted server do not all return in the same instant. */
const retryDelay = () => 1_000 + Math.random() * 4_000

/**
 * Watches topics, or the demo stream if there are none, through one EventSource at a time, and reconnects until `end`.
 * Calls the watcher's state(state, detail), heard(), entry(entry), gap(gap), closed(topic), and unauthorized() if a token is required.
 */
export function openStream({ topics, names }, watcher) {
  const read = topics.length === 0 ? readDemo : readTopic
  const closedTopics = new Set()
  let source
  let position = ''
  let shown = ''
  let heardAt
  let retry
  let refusal
  let ended = false

  function open() {
    clearTimeout(retry)
    source?.close()
    heardAt = Date.now()
    source = new EventSource(eventAddress(topics, position))
    source.addEventListener('open', opened)
    source.addEventListener('error', failed)
    for (const name of new Set(['message', ...names])) source.addEventListener(name, arrived)
    source.addEventListener('hub.open', heard)
    source.addEventListener('hub.checkpoint', heard)
    source.addEventListener('hub.gap', gapOpened)
    source.addEventListener('hub.closed', topicClosed)
  }

  function end() {
    ended = true
    clearTimeout(retry)
    source.close()
  }

  function heard(event) {
    heardAt = Date.now()
    if (event.lastEventId) position = event.lastEventId
    watcher.heard()
  }

  function opened(event) {
    // A publisher may name an event "open" or "error"; the browser's own events have no data.
    if (event instanceof MessageEvent) return
    refusal = undefined
    heard(event)
    watcher.state('live')
  }

  function failed(event) {
    if (event instanceof MessageEvent) return
    if (source.readyState !== EventSource.CLOSED) {
      watcher.state('reconnecting', 'The connection was lost. The browser is trying again.')
      return
    }
    retry = setTimeout(open, retryDelay())
    watcher.state('reconnecting', refusal || 'The connection was lost. Trying again in a few seconds.')
    if (refusal === undefined) explain(source)
  }

  /** Called once per outage, so as not to burden a server that is in trouble. */
  async function explain(failedSource) {
    refusal = ''
    const { closed, detail, code } = await readRefusal(eventAddress(topics, position))
    if (ended || source !== failedSource) return
    if (closed) {
      end()
      watcher.state('closed', 'The server has closed this stream. Nothing more will arrive.')
    } else if (detail) {
      refusal = `The server refused: ${detail}`
      watcher.state('reconnecting', refusal)
      if (code.startsWith('token_') || code === 'forbidden') watcher.unauthorized()
    }
  }

  function arrived(event) {
    if (!(event instanceof MessageEvent)) return
    heard(event)
    // A repeat has no id, and a new EventSource has no earlier id to fill in.
    const id = event.lastEventId || position
    const { text, at } = read(event.data)
    // The key leaves out the time: the default message has the time at which the server started, so a restart would make it look new.
    const key = `${id} ${text}`
    if (key === shown) return
    shown = key
    watcher.entry({ id, text, at, name: event.type === 'message' ? '' : event.type })
  }

  function gapOpened(event) {
    heard(event)
    watcher.gap(readNotice(event.data))
  }

  function topicClosed(event) {
    heard(event)
    const { topic } = readNotice(event.data)
    if (closedTopics.has(topic)) return
    closedTopics.add(topic)
    watcher.closed(topic)
    // A pattern may match a topic that is published to later.
    if (topics.length > 0 && topics.every((watched) => !isPattern(watched) && closedTopics.has(watched))) {
      end()
      watcher.state('closed', 'Nothing more will arrive here.')
    }
  }

  function reopen() {
    watcher.state('reconnecting', 'Nothing was heard for a while. Connecting again.')
    open()
  }

  watcher.state('connecting')
  open()

  return {
    end,
    /** Reconnects if the connection has died unnoticed, as it may during sleep. */
    check() {
      if (ended) return
      if (source.readyState === EventSource.CLOSED || Date.now() - heardAt > silenceLimit) reopen()
    },
    /** Must be called every second. The demo stream sends every second, so a long silence proves that the stream is dead. */
    tick() {
      if (!ended && topics.length === 0 && Date.now() - heardAt > silenceLimit) reopen()
    },
  }
}
