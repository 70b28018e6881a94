/** The server's own words when it says no. */

/** The detail and code of a problem answer, as far as it has them. */
export async function readProblem(response) {
  const problem = await response.json().catch(() => ({}))
  const detail = problem?.detail || problem?.title || `The server answered ${response.status}.`
  return { detail: String(detail), code: problem?.code ? String(problem.code) : '' }
}

/**
 * EventSource hides why it was turned away, so the same address is asked once more in a way that tells.
 * Gives `{ closed, detail, code }`; all are empty when the stream is there again or nobody answers.
 */
export async function askWhy(address) {
  const asking = new AbortController()
  const patience = setTimeout(() => asking.abort(), 5_000)
  try {
    const response = await fetch(address, {
      headers: { accept: 'text/event-stream' },
      cache: 'no-store',
      signal: asking.signal,
    })
    if (response.status === 204) return { closed: true, detail: '', code: '' }
    if (response.ok) return { closed: false, detail: '', code: '' }
    return { closed: false, ...(await readProblem(response)) }
  } catch {
    return { closed: false, detail: '', code: '' }
  } finally {
    clearTimeout(patience)
    asking.abort()
  }
}
