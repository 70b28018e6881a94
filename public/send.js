/** For how long a message is tried. */
const limitMs = 15_000

/**
 * Sends a text to a topic, or to the demo stream if `topic` is null. Returns `{ id }` or `{ refusal: { detail, code } }`; with a `key` beside
 * the refusal the message may have been sent: sent again with that key, it arrives only once.
 */
export async function sendMessage(hub, topic, text, key) {
  try {
    if (topic === null) return await sendToDemo(hub, text)
    return await hub.publish({ topic, data: text }, { timeoutMs: limitMs, ...(key && { key }) })
  } catch (error) {
    return { refusal: describeFailure(error), ...(error.outcome === 'unknown' && { key: error.key }) }
  }
}

async function sendToDemo(hub, text) {
  const response = await hub.request('send', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, application/problem+json' },
    body: JSON.stringify({ message: text }),
    signal: AbortSignal.timeout(limitMs),
  })
  return { id: (await response.json()).id }
}

function describeFailure({ name, status, message, code, outcome, cause }) {
  if (status) return { detail: message, code }
  const isLate = [name, cause?.name].includes('TimeoutError')
  if (outcome === 'unknown') {
    const why = isLate ? 'The server did not answer in time.' : 'The server could not be reached.'
    return { detail: `${why} You can send the message again: it will arrive only once.`, code: '' }
  }
  // After a timeout the message may have been sent: a text that denies this would invite the person to send it twice.
  if (isLate)
    return { detail: 'The server did not answer in time. The message may or may not have been sent.', code: '' }
  if (name === 'SyntaxError') return { detail: 'The server answered in a way this page does not understand.', code: '' }
  return { detail: 'The server could not be reached. Your message was not sent.', code: '' }
}
