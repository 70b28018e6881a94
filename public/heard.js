/** Says how long ago something last arrived from the server. */
export function heardWords(heardAt, now) {
  if (heardAt === null) return 'not heard yet'
  const seconds = Math.max(0, Math.floor((now - heardAt) / 1000))
  // The demo stream sends every second: counting 0, 1, 0, 1 would flicker.
  if (seconds < 2) return 'last heard just now'
  if (seconds < 60) return `last heard ${seconds} s ago`
  if (seconds < 3600) return `last heard ${Math.floor(seconds / 60)} min ago`
  return `last heard ${Math.floor(seconds / 3600)} h ago`
}
