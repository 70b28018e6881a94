const words = {
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  gap: 'Gap',
  closed: 'Closed',
}

/** Shortest and longest time for which a gap is shown. Messages often follow within milliseconds, too soon to notice the gap. */
const gapMinMs = 3_000
const gapMaxMs = 10_000

/** Shows the state of the connection. A gap is shown instead of "live" for long enough to be read. */
export function createStateView(element) {
  const word = element.querySelector('.word')
  const detail = element.querySelector('.detail')
  let connection = { state: 'connecting', detail: '' }
  let gapSince = null
  let gapTimer

  function show() {
    const inGap = gapSince !== null && connection.state === 'live'
    const state = inGap ? 'gap' : connection.state
    const sentence = inGap ? 'Some messages were missed.' : connection.detail
    element.dataset.state = state
    // Setting the same text again would make screen readers announce it again.
    if (word.textContent !== words[state]) word.textContent = words[state]
    if (detail.textContent !== sentence) detail.textContent = sentence
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
    connection(state, sentence = '') {
      connection = { state, detail: sentence }
      if (state === 'connecting') endGap()
      else show()
    },
    gap() {
      gapSince = Date.now()
      endGapIn(gapMaxMs)
      show()
    },
    message() {
      if (gapSince !== null) endGapIn(Math.max(0, gapSince + gapMinMs - Date.now()))
    },
  }
}
