/**
 * Calls `call` once when the client of a request has gone. If the client has gone already, calls at once, because a listener is not called
 * for an earlier abort.
 *
 * @param signal the signal of the request
 * @returns a function that stops listening
 */
export function whenGone(signal: AbortSignal, call: () => void): () => void {
  signal.addEventListener('abort', call, { once: true })
  if (signal.aborted) call()
  return () => signal.removeEventListener('abort', call)
}
