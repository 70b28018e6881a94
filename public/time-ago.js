/** Says in words how long ago something was. */
export function timeAgo(at, now) {
  const seconds = Math.max(0, Math.floor((now - at) / 1000))
  // The demo stream sends every second: counting 0, 1, 0, 1 would flicker.
  if (seconds < 2) return 'just now'
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ago`
  return `${Math.floor(seconds / 86_400)} days ago`
}
