/** Reads why the server refused a request. */

/** The detail and code of a problem response, with a fallback for responses without them. */
export async function readProblem(response) {
  const problem = await response.json().catch(() => ({}))
  const detail = problem?.detail || problem?.title || `The server answered ${response.status}.`
  return { detail: String(detail), code: problem?.code ? String(problem.code) : '' }
}

/**
 * EventSource hides why it was refused, so this requests the same address once more with `fetch`.
 * Returns `{ closed, detail, code }`; detail and code are empty if the stream works again or the server does not answer.
 */
export async function readRefusal(address) {
  const controller = new AbortController()
  const timeout = setTimeout(() => controller.abort(), 5_000)
  try {
    const response = await fetch(address, {
      headers: { accept: 'text/event-stream' },
      cache: 'no-store',
      signal: controller.signal,
    })
    if (response.status === 204) return { closed: true, detail: '', code: '' }
    if (response.ok) return { closed: false, detail: '', code: '' }
    return { closed: false, ...(await readProblem(response)) }
  } catch {
    return { closed: false, detail: '', code: '' }
  } finally {
    clearTimeout(timeout)
    controller.abort()
  }
}
