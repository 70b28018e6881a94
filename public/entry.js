/** What arrives on a stream, read into an entry to show. */

/** Reads a frame of the public stream, which brings its own time. */
export function readPublic(data) {
  try {
    const { message, timestamp } = JSON.parse(data)
    const at = new Date(timestamp)
    if (typeof message === 'string' && !Number.isNaN(at.valueOf())) return { text: message, at }
  } catch {
    // Whatever came is still a message; it is shown as it is.
  }
  return readTopic(data)
}

/** Reads a frame of a topic: any text, and no time but that of its arrival. */
export const readTopic = (data) => ({ text: data, at: new Date() })

/** Reads the data of one of the hub's own events. */
export function readNotice(data) {
  try {
    return JSON.parse(data) ?? {}
  } catch {
    return {}
  }
}
