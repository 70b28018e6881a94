/** Moves the focus between the ids of the rows with the arrow keys, so that Tab does not stop at hundreds of them. */
export function moveByArrows(log) {
  log.addEventListener('keydown', (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key]
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return
    const ids = [...log.querySelectorAll('.id')]
    const row = document.activeElement.closest('li')
    const at = row ? ids.indexOf(row.querySelector('.id')) : ids.length
    const next = ids[at + step]
    if (!next) return
    event.preventDefault()
    next.focus()
  })
}
