import { readNotice, readPublic, readTopic } from './entry.js'
import { askWhy } from './refusal.js'
import { eventAddress, isPattern } from './topics.js'

/** A topic stream's heartbeats are comments, which EventSource does not show: silence means nothing before this. */
const silenceLimit = 45_000

/** Jitter keeps the readers of a restarted server from all returning in the same instant. */
const retryDelay = () => 1_000 + Math.random() * 4_000

/**
 * Watches topics (none: the public stream) through one EventSource at a time, for as long as it takes.
 * Tells its watcher: state(state, detail), heard(), entry(entry), gap(gap), closed(topic), and locked() where a token is needed.
 */
export function openStream({ topics, names }, tell) {
  const read = topics.length === 0 ? readPublic : readTopic
  const closedTopics = new Set()
  let source
  let position = ''
  let shown = ''
  let signAt
  let retry
  let refusal
  let ended = false

  function open() {
    clearTimeout(retry)
    source?.close()
    signAt = Date.now()
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
    signAt = Date.now()
    if (event.lastEventId) position = event.lastEventId
    tell.heard()
  }

  function opened(event) {
    // A publisher may name its event "open" or "error"; only the browser's own have no data.
    if (event instanceof MessageEvent) return
    refusal = undefined
    heard(event)
    tell.state('live')
  }

  function failed(event) {
    if (event instanceof MessageEvent) return
    if (source.readyState !== EventSource.CLOSED) {
      tell.state('reconnecting', 'The connection was lost. The browser is trying again.')
      return
    }
    retry = setTimeout(open, retryDelay())
    tell.state('reconnecting', refusal || 'The connection was lost. Trying again in a few seconds.')
    if (refusal === undefined) explain(source)
  }

  /** Asked once per outage: a server in trouble needs no second caller. */
  async function explain(failedSource) {
    refusal = ''
    const { closed, detail, code } = await askWhy(eventAddress(topics, position))
    if (ended || source !== failedSource) return
    if (closed) {
      end()
      tell.state('closed', 'The server has closed this stream. Nothing more will arrive.')
    } else if (detail) {
      refusal = `The server refused: ${detail}`
      tell.state('reconnecting', refusal)
      if (code.startsWith('token_') || code === 'forbidden') tell.locked()
    }
  }

  function arrived(event) {
    if (!(event instanceof MessageEvent)) return
    heard(event)
    // A repeat carries no id, and a fresh EventSource has none from before to fill in.
    const id = event.lastEventId || position
    const { text, at } = read(event.data)
    // Not its time: the default message is as old as the server's process, and a restart would make it another one.
    const key = `${id} ${text}`
    if (key === shown) return
    shown = key
    tell.entry({ id, text, at, name: event.type === 'message' ? '' : event.type })
  }

  function gapOpened(event) {
    heard(event)
    tell.gap(readNotice(event.data))
  }

  function topicClosed(event) {
    heard(event)
    const { topic } = readNotice(event.data)
    if (closedTopics.has(topic)) return
    closedTopics.add(topic)
    tell.closed(topic)
    // A pattern may yet match a topic that nobody has named.
    if (topics.length > 0 && topics.every((watched) => !isPattern(watched) && closedTopics.has(watched))) {
      end()
      tell.state('closed', 'Nothing more will arrive here.')
    }
  }

  function reopen() {
    tell.state('reconnecting', 'Nothing was heard for a while. Connecting again.')
    open()
  }

  tell.state('connecting')
  open()

  return {
    end,
    /** For moments when a dead connection may have gone unnoticed, as after sleep. */
    check() {
      if (ended) return
      if (source.readyState === EventSource.CLOSED || Date.now() - signAt > silenceLimit) reopen()
    },
    /** The public stream repeats itself every second, so there a long silence alone is proof. */
    tick() {
      if (!ended && topics.length === 0 && Date.now() - signAt > silenceLimit) reopen()
    },
  }
}
