import { openDemo } from './demo-stream.js'

/** A visible tab that has heard nothing for this long asks the tab that reads, and takes over if the answer is not there after three more seconds. */
const askAfter = 10_000
const takeAfter = 13_000

/**
 * Watches the demo stream, which one tab reads for all: the tab that holds a Web Lock has the EventSource, and a BroadcastChannel carries
 * what it tells. Each tab reads for itself where pages have no locks, on plain http that is not this computer, and where the browser denies
 * them, because its settings block site data.
 */
export function watchDemo(hub, watcher) {
  const place = `tidings demo ${new URL('.', location.href)}`
  let channel = openChannel(place)
  let stream
  let candidacy
  let position = ''
  let shown = ''
  let heardAt = null
  let toldAt = Date.now()
  let state = { type: 'state', state: 'connecting', detail: '', code: '' }
  let last
  let isEnded = false

  function take(news) {
    toldAt = Date.now()
    heardAt = news.heardAt
    if (heardAt !== null) watcher.heard(heardAt)
    if (news.type === 'state') {
      state = news
      watcher.state(news.state, news.detail, news.code, news.retryAt)
    } else if (news.type === 'gap') {
      watcher.gap(news.gap)
    } else if (!isBefore(news.id, position)) {
      last = news
      if (news.id) position = news.id
      show(news)
    }
  }

  function show({ data }) {
    const { text, at } = read(data)
    // The key leaves out the time: the default message has the time at which the server started, so a restart would make it look new.
    const key = `${position} ${text}`
    if (key === shown) return
    shown = key
    watcher.entry({ id: position, topic: '', text, at, name: '' })
  }

  function tell(news) {
    if (isEnded) return
    const isHeard = news.type !== 'state' || news.state === 'live'
    const told = { ...news, heardAt: isHeard ? Date.now() : heardAt }
    take(told)
    // Each tab is refused by itself: the answer of a tab that has not heard of a sign-in would refuse the one that has signed in.
    if (news.state === 'refused') end()
    else channel?.postMessage(told)
  }

  function end() {
    isEnded = true
    stream?.end()
    candidacy?.abort()
    channel?.close()
  }

  function lead() {
    stream = openDemo(hub, position, tell)
  }

  /** Waits for the lock, or takes it, and reads while this tab holds it. */
  async function campaign(steal = false) {
    candidacy?.abort()
    const attempt = new AbortController()
    candidacy = attempt
    try {
      await navigator.locks.request(place, steal ? { steal } : { signal: attempt.signal }, () => {
        lead()
        return new Promise((release) => {
          attempt.signal.addEventListener('abort', release)
        })
      })
    } catch (error) {
      // With an AbortError, another tab has taken the lock, or this one gave up. Everything else would be denied again.
      if (error.name !== 'AbortError') return readAlone()
    }
    if (candidacy !== attempt) return
    stream?.end()
    stream = undefined
    if (!isEnded) campaign()
  }

  function readAlone() {
    channel?.close()
    channel = undefined
    if (!isEnded) lead()
  }

  if (channel) {
    channel.onmessage = ({ data }) => {
      if (data.type !== 'ask') take(data)
      else if (stream) for (const news of [state, last]) if (news) channel.postMessage({ ...news, heardAt })
    }
    channel.postMessage({ type: 'ask' })
    campaign()
  } else readAlone()
  watcher.state('connecting', '', '')

  return {
    end,
    /** Must be called every second, and when the page wakes up. */
    check() {
      if (isEnded) return
      if (stream) return stream.check()
      const silence = Date.now() - toldAt
      if (document.hidden || silence < askAfter) return
      if (silence > takeAfter) {
        toldAt = Date.now()
        campaign(true)
      } else channel.postMessage({ type: 'ask' })
    },
  }
}

/** The channel of the tabs; undefined where pages have no locks or the browser denies them. */
function openChannel(place) {
  try {
    return navigator.locks && new BroadcastChannel(place)
  } catch {
    return undefined
  }
}

/** Whether a position of the same log is before another: a tab that was frozen gets what it missed from two sides. */
function isBefore(id, position) {
  const at = id.lastIndexOf('-')
  return id.slice(0, at) === position.slice(0, position.lastIndexOf('-')) && seqOf(id) < seqOf(position)
}

const seqOf = (position) => Number(position.slice(position.lastIndexOf('-') + 1))

/** Reads the data of the demo stream, which has a time. */
function read(data) {
  try {
    const { message, timestamp } = JSON.parse(data)
    const at = new Date(timestamp)
    if (typeof message === 'string' && !Number.isNaN(at.valueOf())) return { text: message, at }
  } catch {
    // Other data is shown as it is.
  }
  return { text: data, at: new Date() }
}
