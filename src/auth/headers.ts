/** Headers that every response gets, unless it sets other values. */
export type SecureHeaders = Readonly<Record<string, string>>

/** @param isShared whether pages of other origins may use the hub */
export function secureHeaders(isShared: boolean): SecureHeaders {
  return {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': isShared ? 'cross-origin' : 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  }
}

/** Marks responses that were made with the headers. */
const complete = Symbol('complete')

/** Makes JSON responses that have the headers from the start: adding headers later costs as much as reading the request. */
export function secureJson(secure: SecureHeaders): (value: unknown) => Response {
  const init = { headers: Object.freeze({ ...secure, 'Content-Type': 'application/json' }) }
  return (value) => {
    const response: Response & { [complete]?: true } = new Response(JSON.stringify(value), init)
    response[complete] = true
    return response
  }
}

/** Adds the headers that a response lacks. */
export function secured(secure: SecureHeaders): (response: Response) => void {
  const all = Object.entries(secure)
  return (response) => {
    if (complete in response) return
    const { headers } = response
    for (const [name, value] of all) if (!headers.has(name)) headers.set(name, value)
  }
}
