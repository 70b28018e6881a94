import { readProblem } from './refusal.js'
import { sendAddress } from './topics.js'

/** Sends a text to a topic, or to the demo stream if `topic` is null. Returns `{ id }` or `{ refusal: { detail, code } }`. */
export async function sendMessage(topic, text) {
  try {
    const response = await fetch(sendAddress(topic), {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, application/problem+json' },
      body: JSON.stringify(topic === null ? { message: text } : { data: text }),
      signal: AbortSignal.timeout(15_000),
    })
    if (!response.ok) return { refusal: await readProblem(response) }
    return { id: (await response.json()).id }
  } catch (error) {
    return { refusal: { detail: describeFailure(error), code: '' } }
  }
}

function describeFailure(error) {
  // After a timeout the message may have been sent: a text that denies this would invite the person to send it twice.
  if (error.name === 'TimeoutError')
    return 'The server did not answer in time. The message may or may not have been sent.'
  if (error instanceof SyntaxError) return 'The server answered in a way this page does not understand.'
  return 'The server could not be reached. Your message was not sent.'
}
