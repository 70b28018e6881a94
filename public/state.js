const words = {
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  gap: 'Gap',
  closed: 'Closed',
}

/** Messages often follow a gap within milliseconds; nobody would see a shorter notice. */
const gapAtLeast = 3_000
const gapAtMost = 10_000

/** Shows the state of the connection; a gap stays in front of "live" until it could be read. */
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
    // Setting the same text again would make a screen reader say it again.
    if (word.textContent !== words[state]) word.textContent = words[state]
    if (detail.textContent !== sentence) detail.textContent = sentence
  }

  function endGapIn(milliseconds) {
    clearTimeout(gapTimer)
    gapTimer = setTimeout(endGap, milliseconds)
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
      endGapIn(gapAtMost)
      show()
    },
    message() {
      if (gapSince !== null) endGapIn(Math.max(0, gapSince + gapAtLeast - Date.now()))
    },
  }
}
