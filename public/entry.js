/** Reads the data of events. */

/** Reads an event of the demo stream, whose data has a time. */
export function readDemo(data) {
  try {
    const { message, timestamp } = JSON.parse(data)
    const at = new Date(timestamp)
    if (typeof message === 'string' && !Number.isNaN(at.valueOf())) return { text: message, at }
  } catch {
    // Other data is shown as it is.
  }
  return readTopic(data)
}

/** Reads an event of a topic: any text, with the time of its arrival. */
export const readTopic = (data) => ({ text: data, at: new Date() })

/** Reads the data of one of the hub's own events. */
export function readNotice(data) {
  try {
    return JSON.parse(data) ?? {}
  } catch {
    return {}
  }
}
