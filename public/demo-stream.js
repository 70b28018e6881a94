import { readRefusal } from './refusal.js'

/** Milliseconds of silence after which the stream is taken for dead: the demo stream sends every second. */
const silenceLimit = 45_000

/** Random, so that the readers of a restarted server do not all return in the same instant. */
const retryDelay = () => 1_000 + Math.random() * 4_000

/**
 * Reads the demo stream through one EventSource at a time, from `position` on, and reconnects until `end` or until the hub refuses for good.
 * Tells `{ type: 'message', id, data }`, `{ type: 'gap', gap }`, and `{ type: 'state', state, detail, code, retryAt }`.
 */
export function openDemo(hub, position, tell) {
  let source
  let heardAt
  let retry
  let retryAt
  let refusal
  let ended = false

  const say = (state, detail = '', code = '') => tell({ type: 'state', state, detail, code, retryAt })

  function open() {
    retryAt = undefined
    clearTimeout(retry)
    source?.close()
    heardAt = Date.now()
    // A browser sends Last-Event-ID only for an EventSource that received the id itself; a new one needs it in the query.
    source = new EventSource(position ? `event?lastEventId=${encodeURIComponent(position)}` : 'event')
    source.addEventListener('open', opened)
    source.addEventListener('error', failed)
    source.addEventListener('message', arrived)
    source.addEventListener('hub.gap', gapOpened)
  }

  function end() {
    ended = true
    clearTimeout(retry)
    source.close()
  }

  function opened() {
    refusal = undefined
    heardAt = Date.now()
    say('live')
  }

  function arrived({ data, lastEventId }) {
    heardAt = Date.now()
    // A repeat has no id, and a new EventSource has no earlier id to fill in.
    if (lastEventId) position = lastEventId
    tell({ type: 'message', id: position, data })
  }

  function gapOpened({ data, lastEventId }) {
    heardAt = Date.now()
    if (lastEventId) position = lastEventId
    tell({ type: 'gap', gap: JSON.parse(data) })
  }

  function failed() {
    if (source.readyState !== EventSource.CLOSED) {
      say('reconnecting', 'The connection was lost. The browser is trying again.')
      return
    }
    const delay = retryDelay()
    retry = setTimeout(open, delay)
    retryAt = Date.now() + delay
    say('reconnecting', refusal || 'The connection was lost.')
    if (refusal === undefined) explain(source)
  }

  /** Called once per outage, so as not to burden a server that is in trouble. */
  async function explain(failedSource) {
    refusal = ''
    const { status, detail, code } = await readRefusal(hub, source.url)
    if (ended || source !== failedSource || !status) return
    refusal = detail && `The server refused: ${detail}`
    if (status === 204) {
      end()
      say('closed', 'The server has closed this stream. Nothing more will arrive.')
    } else if (isFinal(status)) {
      end()
      say('refused', detail, code)
    } else if (refusal) say('reconnecting', refusal)
  }

  open()
  return {
    end,
    /** Reconnects if the connection has died unnoticed, as it may during sleep. */
    check() {
      const isWaiting = retryAt !== undefined
      const isFresh = source.readyState !== EventSource.CLOSED && Date.now() - heardAt <= silenceLimit
      if (ended || isWaiting || isFresh) return
      say('reconnecting', 'Nothing was heard for a while.')
      open()
    },
  }
}

/** Whether the same request would be refused again. */
const isFinal = (status) => status >= 400 && status < 500 && ![408, 425, 429].includes(status)
