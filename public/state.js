const words = {
  connecting: 'Connecting',
  live: 'Live',
  paused: 'Paused',
  reconnecting: 'Reconnecting',
  gap: 'Gap',
  closed: 'Closed',
  refused: 'Refused',
}

const sentences = { gap: 'Some messages were missed.', paused: 'New messages wait below the list.' }

/** Shortest and longest time for which a gap is shown. Messages often follow within milliseconds, too soon to notice the gap. */
const gapMinMs = 3_000
const gapMaxMs = 10_000

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })

/**
 * Shows the state of the connection, and beside a lost one since when and when the next try is: in an element of its own, because screen
 * readers would announce every second. A gap is shown instead of "live" for long enough to be read.
 */
export function createStateView(element, retry) {
  const word = element.querySelector('.word')
  const detail = element.querySelector('.detail')
  let connection = { state: 'connecting', detail: '' }
  let gapSince = null
  let gapTimer
  let isPaused = false
  let lostAt
  let retryAt

  function show() {
    const state = stateNow()
    const sentence = sentences[state] ?? connection.detail
    element.dataset.state = state
    // Setting the same text again would make screen readers announce it again.
    if (word.textContent !== words[state]) word.textContent = words[state]
    if (detail.textContent !== sentence) detail.textContent = sentence
    showRetry()
  }

  function showRetry() {
    const words = lostAt === undefined ? '' : `Since ${clock.format(lostAt)}.${nextTry(retryAt)}`
    if (retry.textContent !== words) retry.textContent = words
  }

  function stateNow() {
    if (connection.state !== 'live') return connection.state
    if (gapSince !== null) return 'gap'
    return isPaused ? 'paused' : 'live'
  }

  function endGapIn(ms) {
    clearTimeout(gapTimer)
    gapTimer = setTimeout(endGap, ms)
  }

  function endGap() {
    clearTimeout(gapTimer)
    gapSince = null
    show()
  }

  return {
    /** @param next when the next try is, in ms since 1970; undefined if nobody knows */
    connection(state, sentence = '', next = undefined) {
      connection = { state, detail: sentence }
      lostAt = state === 'reconnecting' ? (lostAt ?? Date.now()) : undefined
      retryAt = next
      if (state === 'connecting') endGap()
      else show()
    },
    paused(paused) {
      isPaused = paused
      show()
    },
    gap() {
      gapSince = Date.now()
      endGapIn(gapMaxMs)
      show()
    },
    message() {
      if (gapSince !== null) endGapIn(Math.max(0, gapSince + gapMinMs - Date.now()))
    },
    /** Must be called every second. */
    check: showRetry,
  }
}

function nextTry(at) {
  if (at === undefined) return ''
  const seconds = Math.ceil((at - Date.now()) / 1000)
  return seconds > 0 ? ` Next try in ${seconds} s.` : ' Trying now.'
}
