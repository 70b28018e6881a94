const rowLimit = 500

/** Pixels from the end within which the list keeps following its end. */
const endMargin = 40

/**
 * A bounded list that follows its end while it is scrolled there, and keeps still while it is scrolled up.
 * Rows that arrive together are shown together, so that a burst costs one layout.
 */
export function createList({ log, list, newest }) {
  let waiting = []
  let flushTimer
  let following = true
  let unread = 0

  function flush() {
    flushTimer = undefined
    const rows = waiting
    waiting = []
    list.append(...rows)
    trim()
    if (following) {
      toEnd()
    } else {
      unread += rows.length
      showUnread()
    }
  }

  function trim() {
    const surplus = list.children.length - rowLimit
    if (surplus <= 0) return
    const before = log.scrollHeight
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
  // A growing text field or a phone's keyboard reduces the height of the list.
  new ResizeObserver(() => {
    if (following) toEnd()
  }).observe(log)

  // Some browsers do not let the keyboard focus an element that only scrolls.
  log.tabIndex = 0

  return {
    follow: toEnd,
    add(row) {
      waiting.push(row)
      if (waiting.length > rowLimit) waiting.shift()
      // A timer, because animation frames stop in a hidden tab, where messages still arrive.
      flushTimer ??= setTimeout(flush, 16)
    },
    clear() {
      clearTimeout(flushTimer)
      flushTimer = undefined
      waiting = []
      list.replaceChildren()
      toEnd()
    },
  }
}
