/**
 * Calls once the client of a request is gone, or now if it is: an abort that came before anybody listened comes to nobody.
 *
 * @param signal of the request
 * @returns what stops listening
 */
export function whenGone(signal: AbortSignal, call: () => void): () => void {
  signal.addEventListener('abort', call, { once: true })
  if (signal.aborted) call()
  return () => signal.removeEventListener('abort', call)
}
