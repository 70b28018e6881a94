/** Reads why the server refused a request. */

/** The detail and code of a problem response, with a fallback for responses without them. */
export async function readProblem(response) {
  const problem = await response.json().catch(() => ({}))
  const detail = problem?.detail || problem?.title || `The server answered ${response.status}.`
  return { detail: String(detail), code: problem?.code ? String(problem.code) : '' }
}

/**
 * EventSource hides why it was refused, so this requests the same address once more with `fetch`.
 * Returns `{ status, detail, code }`; detail and code are empty if the stream works again, and the status is 0 if the server does not answer.
 */
export async function readRefusal(address) {
  const controller = new AbortController()
  const timeout = setTimeout(() => controller.abort(), 5_000)
  try {
    const headers = { accept: 'text/event-stream' }
    const response = await fetch(address, { headers, cache: 'no-store', signal: controller.signal })
    if (response.ok) return { status: response.status, detail: '', code: '' }
    return { status: response.status, ...(await readProblem(response)) }
  } catch {
    return { status: 0, detail: '', code: '' }
  } finally {
    clearTimeout(timeout)
    controller.abort()
  }
}
