/**
 * Calls `call` once when the client of a request has gone, at once if it has: no listener hears of an earlier abort.
 *
 * @param signal of the request
 * @returns a function that stops listening
 */
export function whenGone(signal: AbortSignal, call: () => void): () => void {
  signal.addEventListener('abort', call, { once: true })
  if (signal.aborted) call()
  return () => signal.removeEventListener('abort', call)
}
