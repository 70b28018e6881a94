const rowLimit = 500

/** Pixels from the end within which the list keeps following its end. */
const endMargin = 40

/** Milliseconds between two layouts: soon for a single message, and ten a second in a burst. */
const calmMs = 16
const burstMs = 100

/** More rows than this in one second begin a burst, which is not announced and not animated. */
const burstRows = 8

/**
 * A bounded list that follows its end while it is scrolled there, and keeps still while it is scrolled up or paused.
 * Rows that arrive together are shown together, so that a burst costs one layout.
 */
export function createList({ log, list, newest, pause, onPause }) {
  let waiting = []
  let flushTimer
  let following = true
  let unread = 0
  let isPaused = false
  let isOver = false
  let second = 0
  let rowsOfSecond = 0
  let rowsBefore = 0

  function flush() {
    flushTimer = undefined
    if (isPaused) return
    const rows = waiting
    waiting = []
    if (!isBurst()) for (const row of rows) row.classList.add('fresh')
    log.setAttribute('aria-live', isBurst() ? 'off' : 'polite')
    list.append(...rows)
    trim()
    if (following) {
      toEnd()
    } else {
      unread += rows.length
      showUnread()
    }
  }

  function count() {
    const now = Math.floor(Date.now() / 1000)
    if (now !== second) {
      rowsBefore = now === second + 1 ? rowsOfSecond : 0
      rowsOfSecond = 0
    }
    second = now
    rowsOfSecond++
  }

  const isBurst = () => Math.max(rowsBefore, rowsOfSecond) > burstRows

  function trim() {
    const surplus = list.children.length - rowLimit
    if (surplus <= 0) return
    const before = following ? 0 : log.scrollHeight
    for (const row of [...list.children].slice(0, surplus)) row.remove()
    if (!following) log.scrollTop -= before - log.scrollHeight
  }

  function toEnd() {
    following = true
    unread = 0
    log.scrollTop = log.scrollHeight
    showUnread()
  }

  function showUnread() {
    newest.hidden = unread === 0
    newest.textContent = unread === 1 ? '1 new message' : `${Math.min(unread, rowLimit)} new messages`
  }

  function showPause() {
    pause.setAttribute('aria-pressed', String(isPaused))
    const words =
      waiting.length === 0 ? 'Resume' : `Resume (${waiting.length}${waiting.length < rowLimit ? '' : '+'} new)`
    pause.textContent = isPaused ? words : 'Pause'
    pause.hidden = isOver && !isPaused
  }

  function setPaused(paused) {
    if (paused !== isPaused) onPause(paused)
    isPaused = paused
    if (!paused && waiting.length > 0) flush()
    showPause()
  }

  log.addEventListener('scroll', () => {
    following = log.scrollHeight - log.scrollTop - log.clientHeight < endMargin
    if (!following || unread === 0) return
    unread = 0
    showUnread()
  })
  newest.addEventListener('click', () => {
    toEnd()
    log.focus({ preventScroll: true })
  })
  pause.addEventListener('click', () => setPaused(!isPaused))
  // A growing text field or a phone's keyboard reduces the height of the list.
  new ResizeObserver(() => {
    if (following) toEnd()
  }).observe(log)

  // Some browsers do not let the keyboard focus an element that only scrolls.
  log.tabIndex = 0

  return {
    follow() {
      if (!isPaused) toEnd()
    },
    add(row) {
      waiting.push(row)
      if (waiting.length > rowLimit) waiting.shift()
      count()
      if (isPaused) showPause()
      // A timer, because animation frames stop in a hidden tab, where messages still arrive.
      else flushTimer ??= setTimeout(flush, isBurst() ? burstMs : calmMs)
    },
    /** @param over whether nothing more will arrive, so that there is nothing to pause */
    over(over) {
      isOver = over
      showPause()
    },
    clear() {
      clearTimeout(flushTimer)
      flushTimer = undefined
      waiting = []
      list.replaceChildren()
      setPaused(false)
      toEnd()
    },
  }
}
